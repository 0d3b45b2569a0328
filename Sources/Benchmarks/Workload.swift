import Failures
import Foundation
import Networks
@_spi(Benchmarks) import Tensors
import Workers

/// Something that is run again and again.
protocol Workload {
    func run() throws
}

/// A convolution, or its gradient with respect to the input, on random numbers.
struct ConvolutionWorkload: Workload {
    private let conv: any Operator
    private let inputs: [Value?]
    private let call: PullbackCall?
    private let request: ConvolutionRequest
    private let accuracy: ConvolutionEngine.Accuracy

    init(_ request: ConvolutionRequest) throws {
        self.request = request
        accuracy = try ConvolutionEngine.Accuracy(naming: request.accuracy)
        let rank = request.input.count - 2
        guard rank >= 1, request.weight.count == rank + 2 else {
            throw Failure(
                .usage, "convolution", expected: "an input and a weight of one rank",
                found: "\(request.input) and \(request.weight)")
        }
        let attributes = Attributes([
            "strides": .ints([Int](repeating: request.stride, count: rank)),
            "pads": .ints([Int](repeating: request.padding, count: 2 * rank)),
        ])
        let node = NodeDescription(
            name: "convolution", type: "Conv", opset: 18, attributes: attributes, inputs: ["x", "w", "b"],
            outputs: ["y"])
        conv = try OperatorCatalogue.make(node)!
        var numbers = Noise(seed: 1)
        inputs = [
            .float(numbers.tensor(request.input)), .float(numbers.tensor(request.weight)),
            .float(numbers.tensor([request.weight[0]])),
        ]
        if request.direction == .backward {
            let shape = try conv.forward([.pending(request.input)] + inputs.dropFirst())[0].shape
            let gradient = numbers.tensor(shape)
            call = PullbackCall(
                gradients: [gradient], inputs: inputs, outputs: [.pending(shape)], wanted: [true, false, false])
        } else {
            call = nil
        }
    }

    func run() throws {
        ConvolutionEngine.accuracy = accuracy
        ConvolutionEngine.usesLibraryOnly = request.engine == .oneDNN
        defer { ConvolutionEngine.usesLibraryOnly = false }
        if let call { _ = try conv.pullback(call) } else { _ = try conv.forward(inputs) }
    }
}

/// A network's answer, or with the gradient of its first class at a layer what Grad-CAM needs, and the map.
struct NetworkWorkload: Workload {
    private let network: Network
    private let inputs: [String: Value]
    private let output: String
    private let tap: String
    private let request: NetworkRequest
    private let accuracy: ConvolutionEngine.Accuracy

    init(_ request: NetworkRequest) throws {
        self.request = request
        accuracy = try ConvolutionEngine.Accuracy(naming: request.accuracy)
        network = try Network(contentsOf: URL(fileURLWithPath: request.file))
        let input = network.inputs[0].name
        output = network.outputs[0].name
        tap = try network.tap(request.tap, inputShapes: [input: request.shape]).tensor
        var numbers = Noise(seed: 2)
        inputs = [input: .float(numbers.tensor(request.shape, in: 0...1))]
    }

    func run() throws {
        ConvolutionEngine.accuracy = accuracy
        guard request.measure == .gradcam else {
            _ = try network.run(inputs: inputs, wanting: [output])
            return
        }
        let recording = try network.record(inputs: inputs, targets: [output], taps: [tap])
        let answer = try recording.tensor(output)
        let voxels = answer.count / (answer.shape[0] * answer.shape[1])
        let seed = Tensor<Float>(shape: answer.shape) { to in
            for index in 0..<to.count { to[index] = index < voxels ? 1 : 0 }
        }
        let gradient = try recording.pullback(seeds: [output: seed], to: [tap])[tap]!
        _ = Self.map(try recording.tensor(tap), gradient)
    }

    /// Σ over channels of the channel's mean gradient times its activation.
    private static func map(_ activation: Tensor<Float>, _ gradient: Tensor<Float>) -> [Float] {
        let channels = activation.shape[1]
        let places = activation.count / channels
        var weights = [Float](repeating: 0, count: channels)
        var map = [Float](repeating: 0, count: places)
        activation.withUnsafeBuffer { activation in
            gradient.withUnsafeBuffer { gradient in
                weights.withUnsafeMutableBufferPointer { weights in
                    Workers.shared.forEach(channels) { channel in
                        let first = channel * places
                        let sum = Accumulation.sum(places) { Double(gradient[first + $0]) }
                        weights[channel] = Float(sum / Double(places))
                    }
                    map.withUnsafeMutableBufferPointer { map in
                        Workers.shared.forEachRange(places, grain: 1 << 13) { range in
                            for channel in 0..<channels {
                                let (first, weight) = (channel * places, weights[channel])
                                for place in range { map[place] += weight * activation[first + place] }
                            }
                        }
                    }
                }
            }
        }
        return map
    }
}

extension ConvolutionEngine.Accuracy {
    init(naming text: String) throws {
        guard let accuracy = Self(rawValue: text) else {
            throw Failure(
                .usage, "accuracy", expected: Self.allCases.map(\.rawValue).joined(separator: ", "), found: text)
        }
        self = accuracy
    }
}

/// Numbers that look random and are the same in every run.
struct Noise {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func tensor(_ shape: [Int], in range: ClosedRange<Float> = -1...1) -> Tensor<Float> {
        let width = range.upperBound - range.lowerBound
        return Tensor(shape: shape) { to in
            for index in 0..<to.count {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                to[index] = range.lowerBound + width * Float(state >> 40) * 0x1p-24
            }
        }
    }
}
