/// An operator that can compute a box of its output from a box of its first input.
///
/// So a large volume goes through a network piece by piece, each with the margin that its windows reach into, and so a change in one
/// region of a scan is followed through a network without the rest.
public protocol PartialOperator: Operator {
    /// What the box `outputs` reads of the first input, and an operator that gives just these outputs from just that box; nil where
    /// that cannot be.
    ///
    /// - Parameter shapes: of the whole inputs.
    func part(_ outputs: Box, shapes: [[Int]?]) throws -> (box: Box, operation: any Operator)?
}
