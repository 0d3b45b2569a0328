import Tensors

/// How far `actual` lies from `expected`: the largest absolute difference over the largest magnitude of `expected`.
///
/// Infinite when shapes differ or `actual` holds a value that is not finite where `expected` does not.
public func relativeError(_ actual: Tensor<Float>, _ expected: Tensor<Float>) -> Double {
    guard actual.shape == expected.shape else { return .infinity }
    return relativeError(actual.values, expected.values)
}

public func relativeError(_ actual: [Float], _ expected: [Float]) -> Double {
    guard actual.count == expected.count else { return .infinity }
    var difference = 0.0
    var magnitude = 0.0
    for (a, b) in zip(actual, expected) {
        if a == b { magnitude = max(magnitude, Double(abs(b))); continue }
        guard a.isFinite else { return .infinity }
        difference = max(difference, abs(Double(a) - Double(b)))
        magnitude = max(magnitude, Double(abs(b)))
    }
    return magnitude > 0 ? difference / magnitude : difference
}
