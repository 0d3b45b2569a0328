import Failures
import Foundation
import Networks
@_spi(Benchmarks) import Tensors

/// A network's answers to one input with a window of it covered, at several places: what occlusion asks. One by one and whole; several
/// in a batch; or only what each window reaches.
struct ChangesWorkload: Workload {
    private let network: Network
    private let input: String
    private let output: String
    private let changed: [(input: Tensor<Float>, window: Box)]
    private let regional: RegionalRun?
    private let request: ChangesRequest
    private let accuracy: ConvolutionEngine.Accuracy

    init(_ request: ChangesRequest) throws {
        self.request = request
        accuracy = try ConvolutionEngine.Accuracy(naming: request.accuracy)
        network = try Network(contentsOf: URL(fileURLWithPath: request.file))
        (input, output) = (network.inputs[0].name, network.outputs[0].name)
        var numbers = Noise(seed: 3)
        let scan = numbers.tensor(request.shape, in: 0...1)
        let extents = Array(request.shape.dropFirst(2))
        guard request.shape.count >= 4, request.shape[0] == 1, request.batch >= 1,
            extents.allSatisfy({ $0 >= request.window })
        else {
            throw Failure(
                .usage, "window", expected: "at most the extents of one input, and a batch of 1 or more",
                found: "\(request.window) and \(request.batch)")
        }
        // At both ends of every axis and in its middle.
        var corners: [[Int]] = [[]]
        for extent in extents {
            let free = extent - request.window
            corners = corners.flatMap { corner in [0, free / 2, free].map { corner + [$0] } }
        }
        changed = corners.map { corner in
            let window = Box(corner.map { $0..<$0 + request.window })
            var other = scan
            let hidden = Tensor<Float>(shape: Array(request.shape.prefix(2)) + window.extents) {
                $0.initialize(repeating: 0)
            }
            other.withUnsafeMutableBuffer { hidden.write(at: window, of: extents, to: $0) }
            return (other, window)
        }
        ConvolutionEngine.accuracy = accuracy
        regional =
            request.isRegional
            ? try RegionalRun(network, inputs: [input: .float(scan)], changing: input, target: output) : nil
        if request.isRegional, regional == nil {
            throw Failure(.resources, "the network", expected: "a run that can be kept", found: "a larger one")
        }
    }

    func run() throws {
        ConvolutionEngine.accuracy = accuracy
        if let regional {
            for one in changed { _ = try regional.target(for: one.input, differingIn: one.window) }
            return
        }
        var next = 0
        while next < changed.count {
            let some = changed[next..<min(changed.count, next + request.batch)].map(\.input)
            next += some.count
            let count = some[0].count
            let together = Tensor<Float>(shape: [some.count] + request.shape.dropFirst()) { to in
                for (number, one) in some.enumerated() {
                    one.withUnsafeBuffer { one in
                        for index in 0..<count { to[number * count + index] = one[index] }
                    }
                }
            }
            _ = try network.run(inputs: [input: .float(together)], wanting: [output])
        }
    }
}
