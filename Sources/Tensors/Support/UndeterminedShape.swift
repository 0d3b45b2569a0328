import Failures

/// Thrown by an operator whose output's shape depends on numbers that are not known yet: scales that a network computes
/// from its input, for example. Shape inference ends there; a run, where all numbers are known, goes on.
public struct UndeterminedShape: Error {
    /// What to say where a shape is needed all the same.
    public let failure: Failure

    public init(_ failure: Failure) { self.failure = failure }
}
