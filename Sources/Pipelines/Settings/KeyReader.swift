import Failures

/// Reads one object of a pipeline file strictly: only declared keys, only the right types, only possible values.
///
/// Every failure names the key by its path (`preparation[2].axcodes`) and its line, what was found and what is allowed.
struct KeyReader {
    let group: KeyGroup
    let path: String
    private let members: [JSON.Member]

    /// - Throws: ``Failure`` when `json` is no object or has a key that the group does not declare.
    init(_ json: JSON, at path: String, group: KeyGroup) throws {
        guard let members = json.members else {
            throw KeyReader.failure(
                path, json,
                expected: "an object { … } with keys such as \(group.names.prefix(3).joined(separator: ", "))")
        }
        self.group = group
        self.path = path
        self.members = members
        for member in members where !group.names.contains(member.key) {
            throw KeyReader.failure(
                join(member.key), member.value,
                expected: path.isEmpty ? "a key of a pipeline" : "a key of \(group.path)", found: "an unknown key",
                remedy: Nearest.suggestion(member.key, in: group.names))
        }
    }

    func path(of key: String) -> String { join(key) }

    private func join(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The value of a declared key; nil when it is absent or null.
    func value(_ key: String) -> JSON? {
        precondition(group.names.contains(key), "'\(key)' is not declared in \(group.path)")
        guard let value = members.first(where: { $0.key == key })?.value, !value.isNull else { return nil }
        return value
    }

    func text(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.text, !text.isEmpty else { throw wrong(key, expected: "text in quotes") }
        return text
    }

    func choice(_ key: String, _ allowed: [String]) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.text, allowed.contains(text) else {
            throw wrong(
                key, expected: "one of \(allowed.joined(separator: ", "))",
                remedy: value.text.flatMap { Nearest.match($0, in: allowed) }.map { "Did you mean '\($0)'?" } ?? "")
        }
        return text
    }

    func choice<Choice: CaseIterable & RawRepresentable>(_ key: String, _ type: Choice.Type) throws -> Choice?
    where Choice.RawValue == String {
        try choice(key, type.allCases.map(\.rawValue)).flatMap(Choice.init)
    }

    func flag(_ key: String) throws -> Bool? {
        guard let value = value(key) else { return nil }
        guard let flag = value.bool else { throw wrong(key, expected: "true or false") }
        return flag
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.number, range.contains(number) else {
            throw wrong(
                key, expected: "a number from \(JSON.digits(range.lowerBound)) to \(JSON.digits(range.upperBound))")
        }
        return number
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.number, number == number.rounded(), abs(number) < 9e15, range.contains(Int(number))
        else {
            throw wrong(
                key,
                expected: range.upperBound == .max
                    ? "a whole number of at least \(range.lowerBound)"
                    : "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(number)
    }

    /// One text or a list of texts.
    func texts(_ key: String) throws -> [String]? {
        guard let value = value(key) else { return nil }
        if let text = value.text, !text.isEmpty { return [text] }
        guard let values = value.array else { throw wrong(key, expected: "text or a list of texts") }
        return try values.enumerated().map { index, value in
            guard let text = value.text, !text.isEmpty else {
                throw KeyReader.failure("\(join(key))[\(index)]", value, expected: "text in quotes")
            }
            return text
        }
    }

    /// Two numbers, the first below the second.
    func range(_ key: String) throws -> ClosedRange<Double>? {
        guard let value = value(key) else { return nil }
        guard let numbers = value.array?.compactMap(\.number), numbers.count == 2, value.array?.count == 2,
            numbers[0] < numbers[1]
        else { throw wrong(key, expected: "[low, high] with low below high") }
        return numbers[0]...numbers[1]
    }

    /// The elements of a list with the path of each; a single value counts as a list of one.
    func elements(_ key: String) -> [(json: JSON, path: String)]? {
        guard let value = value(key) else { return nil }
        guard let values = value.array else { return [(value, join(key))] }
        return values.enumerated().map { ($1, "\(join(key))[\($0)]") }
    }

    func object(_ key: String, _ group: KeyGroup) throws -> KeyReader? {
        guard let value = value(key) else { return nil }
        return try KeyReader(value, at: join(key), group: group)
    }

    /// The key's value is not as it must be.
    func wrong(_ key: String, expected: String, remedy: String = "") -> Failure {
        let json = members.first { $0.key == key }?.value ?? .null
        return KeyReader.failure(join(key), json, expected: expected, remedy: remedy)
    }

    static func failure(
        _ path: String, _ json: JSON, expected: String, found: String? = nil, remedy: String = ""
    ) -> Failure {
        let place = path.isEmpty ? "the file" : path
        return Failure(
            .pipeline, json.line > 0 ? "\(place) (line \(json.line))" : place, expected: expected,
            found: found ?? json.summary, remedy: remedy)
    }
}
