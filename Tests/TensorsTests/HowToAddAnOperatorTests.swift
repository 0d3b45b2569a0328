import Failures
import TestSupport
import Testing

@testable import Tensors

/// How an operator is added, on a small one that is not in ONNX: y = x · |x|, scaled by an attribute.
///
/// 1. Write a type in `Sources/Tensors/Operators/`, in the folder of its family. A function of each element states `value`
///    and `derivative` (``UnaryPointwise``), and that is all; families with protocols of their own are
///    ``BinaryPointwise``, ``Comparison``, ``Viewing``, ``Gathering``, ``Scattering`` and ``AxisReduction``. Anything else
///    states `forward` and `pullback` (``Operator``); `NodeChecks.swift` holds the questions to ask of a node and its inputs.
/// 2. Name it in `OperatorCatalogue.all`.
/// 3. Give it lines in `OperatorCases` (its pullback against finite differences: a test fails until it has one), a case in
///    `Tests/Reference/operators.py` (against PyTorch), and lines in `MalformedOperatorTests` for what it refuses.
private struct SignedSquare: UnaryPointwise {
    static let types = ["SignedSquare"]
    let node: NodeDescription
    private let scale: Float

    init(_ node: NodeDescription) throws {
        self.node = node
        scale = try node.float("scale", default: 1)
    }

    func value(_ x: Float) -> Float { scale * x * abs(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 2 * scale * abs(x) }
}

/// The same with a derivative that is wrong, to see that the check sees it.
private struct WrongSquare: UnaryPointwise {
    static let types = ["WrongSquare"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x * abs(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 2.02 * abs(x) }
}

@Suite("How to add an operator")
struct HowToAddAnOperatorTests {
    private let node = NodeDescription(
        name: "square", type: "SignedSquare", opset: 18, attributes: Attributes(["scale": .float(3)]))

    private var x: Tensor<Float> {
        var numbers = SeededNumbers(3)
        return numbers.tensor([2, 5], -2...2)
    }

    @Test func forwardIsTheFunction() throws {
        let y = try SignedSquare(node).forward([.float(x)])
        guard case .float(let y) = y[0] else { throw WrongKind() }
        #expect(relativeError(y, Tensor(shape: x.shape, values: x.values.map { 3 * $0 * abs($0) })) < 1e-7)
    }

    @Test func pullbackIsItsDerivative() throws {
        let check = try OperatorCheck(SignedSquare(node), inputs: [.float(x)])
        #expect(check.gradientError < 1e-3)
        #expect(check.shapesAgree)
    }

    @Test func aWrongDerivativeIsSeen() throws {
        let check = try OperatorCheck(WrongSquare(node), inputs: [.float(x)])
        #expect(check.gradientError > 5e-3)
    }

    @Test func whatItCannotReadIsRefusedByName() throws {
        let integers = Value.integer(Tensor(shape: [2], values: [1, 2]))
        let failure = #expect(throws: Failure.self) { try SignedSquare(node).forward([integers]) }
        #expect(failure?.kind == .network)
        #expect(failure?.subject.contains("square") == true)
        let wrong = NodeDescription(
            name: "square", type: "SignedSquare", opset: 18, attributes: Attributes(["scale": .string("much")]))
        #expect(throws: Failure.self) { try SignedSquare(wrong) }
    }

    /// The catalogue makes operators by type; one that is not named there does not exist.
    @Test func theCatalogueKnowsThemByType() throws {
        let relu = NodeDescription(name: "act", type: "Relu", opset: 18)
        #expect(try OperatorCatalogue.make(relu) is Relu)
        #expect(try OperatorCatalogue.make(node) == nil)
        #expect(OperatorCatalogue.supportedTypes == Set(OperatorCatalogue.supportedTypes).sorted())
    }

    private struct WrongKind: Error {}
}
