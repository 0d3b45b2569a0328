import Workers

extension Workers {
    /// ``map(_:_:)`` for work that cannot fail.
    func results<Result: Sendable>(_ count: Int, _ body: (Int) -> Result) -> [Result] {
        try! map(count, body)
    }
}
