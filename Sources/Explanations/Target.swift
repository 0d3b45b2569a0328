import Failures
import Tensors

/// Which scalar of the network's answer is explained.
///
/// Every target is a linear functional of one tensor, the logits: the sum over `seed ⊙ logits` for a fixed `seed`. That is
/// what makes "forward, choose a scalar, pull back to a tap" one sentence for classification, regression and segmentation.
public enum Target: Sendable, Hashable {
    /// The class with the largest logit; for a network with one output, that output.
    case highest
    /// One class, label or regression value, by its index on the class axis.
    case index(Int)
    /// One class by name, as the pipeline or the network's metadata names it.
    case named(String)
    /// Every class in turn, each with a map of its own.
    case every
    /// For dense (segmentation) answers: the summed logits of a class over the voxels where that class wins; nil takes the
    /// class other than 0 (background) that wins most voxels.
    case region(classIndex: Int?)
    /// For dense answers: the summed logits of a class over a given mask on the scan (values > 0).
    case masked(classIndex: Int)

    /// From the command line or a pipeline: `argmax`, `every`, a number, `region`, `region:2`, `mask:2`, else a class name.
    public init(parsing text: String) throws {
        func index(after prefix: String) throws -> Int {
            guard let value = Int(text.dropFirst(prefix.count)), value >= 0 else {
                throw Failure(
                    .usage, "target '\(text)'", expected: "'\(prefix)' followed by a class index",
                    found: "'\(text.dropFirst(prefix.count))'", remedy: "Example: \(prefix)1")
            }
            return value
        }
        switch text {
        case "argmax", "highest": self = .highest
        case "every", "all": self = .every
        case "region": self = .region(classIndex: nil)
        case let text where text.hasPrefix("region:"): self = .region(classIndex: try index(after: "region:"))
        case let text where text.hasPrefix("mask:"): self = .masked(classIndex: try index(after: "mask:"))
        default:
            if let value = Int(text) { self = .index(value) } else { self = .named(text) }
        }
    }
}

/// A target made concrete for one answer of one network.
public struct ResolvedTarget: Sendable {
    /// Index on the class axis.
    public let classIndex: Int
    /// "nodule (1)", "class 1", "score": for titles and file names' sidecars.
    public let label: String
    /// Short and safe for file names: `class1`.
    public let slug: String
    /// Name of the tensor whose weighted sum is the scalar: normally the logits before a final softmax or sigmoid.
    public let tensor: String
    /// The weights of that sum, in the tensor's shape: the gradient where every pullback starts.
    public let seed: Tensor<Float>
    /// The scalar itself.
    public let score: Double
    /// Softmax or sigmoid of the logits at the class, where the answer is one vector of classes.
    public let probability: Double?
    /// What the reader should know about how the target was chosen.
    public let notes: [String]

    public init(
        classIndex: Int, label: String, slug: String, tensor: String, seed: Tensor<Float>, score: Double,
        probability: Double?, notes: [String] = []
    ) {
        self.classIndex = classIndex
        self.label = label
        self.slug = slug
        self.tensor = tensor
        self.seed = seed
        self.score = score
        self.probability = probability
        self.notes = notes
    }
}
