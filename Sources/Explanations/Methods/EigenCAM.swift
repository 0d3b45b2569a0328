import Foundation
import Tensors

/// Eigen-CAM: the feature map projected on its first principal component.
///
/// Muhammad & Yeasin, IJCNN 2020. The component is the leading eigenvector of the channels' covariance (an economical SVD:
/// the matrix is channels × channels whatever the extent), found by power iteration on its square. An eigenvector has no
/// sign; the one taken makes the projection correlate positively with the mean over channels.
public struct EigenCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "eigencam", title: "Eigen-CAM", family: .cam,
        summary: "What dominates a layer's features, whatever the class.",
        source: "Muhammad & Yeasin, IJCNN 2020", needs: "a tap with spatial extent", cost: "1 forward to the tap",
        trust:
            "Knows nothing of the target: the same map for every class. Good for a first look, no evidence for a decision.",
        sanity: .notApplicable, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let activation = try question.activation(at: tap)
        let channels = activation.shape[1]
        let size = activation.count / max(1, channels)
        let means = ChannelReduction.means(of: activation)
        let covariance = Scatter.matrix(of: activation.reshaped([channels, size]), around: means)
        var component = Self.leadingEigenvector(covariance, size: channels)
        // Projection of the centred features; their mean over channels decides the sign.
        let projection = ChannelReduction.weightedSum(of: activation, weights: component)
        let offset = zip(component, means).reduce(0.0) { $0 + $1.0 * $1.1 }
        let channelMean = ChannelReduction.weightedSum(
            of: activation, weights: [Double](repeating: 1 / Double(channels), count: channels))
        let correlation = zip(projection.values, channelMean.values).reduce(0.0) {
            $0 + (Double($1.0) - offset) * Double($1.1)
        }
        let sign: Double = correlation < 0 ? -1 : 1
        component = component.map { $0 * sign }
        return AttributionMap(projection.mapped { Float(sign * (Double($0) - offset)) })
    }

    static func leadingEigenvector(_ matrix: [Double], size: Int) -> [Double] {
        guard size > 0 else { return [] }
        var vector = (0..<size).map { 1 + 0.01 * Double($0 % 7) }
        for _ in 0..<2000 {
            var next = [Double](repeating: 0, count: size)
            for row in 0..<size {
                var sum = 0.0
                for column in 0..<size { sum += matrix[row * size + column] * vector[column] }
                next[row] = sum
            }
            let norm = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
            if norm == 0 { return vector.map { _ in 0 } }
            next = next.map { $0 / norm }
            let change = zip(next, vector).reduce(0) { max($0, abs($1.0 - $1.1)) }
            vector = next
            if change < 1e-13 { break }
        }
        return vector
    }
}
