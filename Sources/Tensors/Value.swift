import Failures

/// What flows along an edge of a network: a tensor of one of three kinds, or the promise of one.
///
/// Narrow types are widened when a file is read: float16, bfloat16 and float64 to 32-bit floats, every integer to 64 bits.
public enum Value: Sendable {
    case float(Tensor<Float>)
    case integer(Tensor<Int64>)
    case boolean(Tensor<Bool>)
    /// A float tensor of which only the shape is known. Shape inference runs the same graph with these.
    case pending([Int])

    public var shape: [Int] {
        switch self {
        case .float(let tensor): tensor.shape
        case .integer(let tensor): tensor.shape
        case .boolean(let tensor): tensor.shape
        case .pending(let shape): shape
        }
    }

    /// "float [1, 2, 3]", for messages.
    public var summary: String {
        switch self {
        case .float(let tensor): "float \(tensor.shape)"
        case .integer(let tensor): "integer \(tensor.shape)"
        case .boolean(let tensor): "boolean \(tensor.shape)"
        case .pending(let shape): "float \(shape)"
        }
    }

    public var isPending: Bool { if case .pending = self { true } else { false } }

    /// The same elements under another shape of the same count.
    public func reshaped(_ shape: [Int]) -> Value {
        switch self {
        case .float(let tensor): .float(tensor.reshaped(shape))
        case .integer(let tensor): .integer(tensor.reshaped(shape))
        case .boolean(let tensor): .boolean(tensor.reshaped(shape))
        case .pending: .pending(shape)
        }
    }
}
