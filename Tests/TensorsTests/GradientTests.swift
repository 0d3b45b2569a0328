import TestSupport
import Testing

@testable import Tensors

@Suite("Pullbacks")
struct GradientTests {
    @Test("The pullback is the derivative of the forward", arguments: OperatorCases.all)
    func finiteDifferences(_ example: OperatorCase) throws {
        let check = try OperatorCheck(example.makeOperator(), inputs: example.inputs, wanted: example.wanted)
        #expect(check.gradientError < example.tolerance)
        #expect(check.shapesAgree)
    }

    /// Operators that answer with integers or booleans, or whose output depends on shapes alone.
    private static let withoutGradient: Set<String> = [
        "And", "ArgMax", "ArgMin", "Constant", "ConstantOfShape", "Equal", "Greater", "GreaterOrEqual", "IsInf",
        "IsNaN",
        "Less", "LessOrEqual", "NonZero", "Not", "Or", "Range", "Shape", "Size", "Xor",
    ]

    /// Checked in their own suites, against their own tables; `Scatter` is another name of `ScatterElements`.
    private static let elsewhere: Set<String> = [
        "AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool",
        "MaxPool",
        "MaxUnpool", "Scatter",
    ]

    @Test("Every operator with a pullback has a case")
    func everyOperatorHasACase() {
        let covered = Set(OperatorCases.all.map(\.type))
        let missing = Set(OperatorCatalogue.supportedTypes).subtracting(covered)
            .subtracting(Self.withoutGradient).subtracting(Self.elsewhere)
        #expect(missing.sorted() == [])
    }
}
