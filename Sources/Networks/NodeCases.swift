import Failures
import Foundation
import Tensors

/// Runs ONNX's own conformance cases: folders that each hold a `model.onnx` of one node, inputs, and the outputs that
/// the standard prescribes.
public enum NodeCases {
    /// How near a float must come to the prescribed one: `|a − b| ≤ absolute + relative · |b|`, as ONNX's own runner asks.
    static let relativeTolerance = 1e-3
    static let absoluteTolerance = 1e-7

    /// A prescribed 16-bit float has gone through the reference's 16-bit arithmetic, where TomoLens computes in 32 bits: it may
    /// be some units in the last place of its type away as well. Two for a single node, whose inner steps round too; in a
    /// graph half a unit for each node that rounds, at most four.
    static func narrowUnits(nodes: Int) -> Double { min(4, max(2, Double(nodes) / 2)) }

    static let tensorExpected = "a tensor"
    static let elementsExpected = "float, integer or boolean elements"

    /// What TomoLens does not claim of an operator that it has: element types that ``ElementType/kind`` leaves out, sequences
    /// and optionals, the behaviour while training, and operator sets of before 2017. Any other refusal of a claimed operator is a failed case.
    private static let outsideOfClaims: Set<String> = [
        tensorExpected, elementsExpected, NodeDescription.inferenceMode, Network.opsetExpected,
    ]

    private static func outcome(of failure: Failure) -> NodeCaseReport.Outcome {
        outsideOfClaims.contains(failure.expected) ? .notClaimed("\(failure)") : .failed("\(failure)")
    }

    /// Runs every case below `folder`.
    ///
    /// A case counts as claimed when all its operators are in ``Tensors/OperatorCatalogue`` and its tensors are of types
    /// that TomoLens reads, in inference mode; every other case is listed with the reason.
    /// - Throws: a ``Failure`` when `folder` holds no cases.
    public static func run(
        _ folder: URL, progress: ((NodeCaseReport.Entry) -> Void)? = nil
    ) throws -> NodeCaseReport {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        let cases = names.filter {
            FileManager.default.fileExists(
                atPath: folder.appendingPathComponent($0).appendingPathComponent("model.onnx").path)
        }
        guard !cases.isEmpty else {
            throw Failure(
                .check, folder.path, expected: "folders that each hold a model.onnx", found: "none",
                remedy: "The cases lie in onnx/backend/test/data/node of the PyPI package onnx, up to version 1.22")
        }
        let entries = cases.map { name in
            let entry = NodeCaseReport.Entry(name: name, result: one(folder.appendingPathComponent(name)))
            progress?(entry)
            return entry
        }
        return NodeCaseReport(entries: entries)
    }

    private static func one(_ folder: URL) -> NodeCaseReport.Outcome {
        let model = folder.appendingPathComponent("model.onnx")
        do {
            let types = try operatorTypes(model)
            let claimed = Set(OperatorCatalogue.supportedTypes).union(["Constant"])
            let unclaimed = types.filter { !claimed.contains($0) }
            if !unclaimed.isEmpty { return .notClaimed("operator \(unclaimed.joined(separator: ", "))") }
        } catch let failure as Failure {
            return .failed("cannot be read: \(failure)")
        } catch { return .failed("\(error)") }

        let network: Network
        do {
            network = try Network(contentsOf: model)
        } catch let failure as Failure {
            return outcome(of: failure.withoutPrefix(model.path))
        } catch { return .failed("\(error)") }

        let sets = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { $0.hasPrefix("test_data_set_") }.sorted()
        if sets.isEmpty { return .failed("holds no data") }
        for set in sets {
            let data = folder.appendingPathComponent(set)
            do {
                let inputs = try tensors(data, "input")
                let expected = try tensors(data, "output")
                var given: [String: Value] = [:]
                // Files follow the order in which the model declares them.
                for (port, input) in zip(network.inputs, inputs) { given[port.name] = input.value }
                let names = network.outputs.map(\.name)
                let results = try network.run(inputs: given, wanting: names, checkingNumbers: false)
                for (name, tensor) in zip(names, expected) {
                    if let difference = difference(
                        results[name]!, tensor.value, type: tensor.type, nodes: network.nodes.count)
                    {
                        return .failed("output '\(name)': \(difference)")
                    }
                }
            } catch let failure as Failure {
                return outcome(of: failure.withoutPrefix(folder.path))
            } catch { return .failed("\(error)") }
        }
        return .passed
    }

    private static func operatorTypes(_ model: URL) throws -> [String] {
        let file = try MappedFile(model)
        let graph = try ModelFile(MappedBytes(file: file, range: 0..<file.bytes.count)).graph
        return Set((graph?.nodes ?? []).map { $0.domain.isEmpty ? $0.type : "\($0.domain).\($0.type)" }).sorted()
    }

    private static func tensors(_ folder: URL, _ stem: String) throws -> [(type: ElementType, value: Value)] {
        var list: [(type: ElementType, value: Value)] = []
        while true {
            let url = folder.appendingPathComponent("\(stem)_\(list.count).pb")
            guard FileManager.default.fileExists(atPath: url.path) else { return list }
            let tensor = try TensorReader.read(url)
            list.append((tensor.type, tensor.value))
        }
    }

    /// The unit in the last place of a 16-bit float; 0 for wider ones.
    private static func lastPlace(of value: Float, _ type: ElementType) -> Double {
        switch type {
        case .float16: return Double(Float16(value).ulp)
        // Its 7 bits of fraction are the first of a float's 23.
        case .bfloat16: return Double(value.ulp) * 65_536
        default: return 0
        }
    }

    /// What is wrong with `actual`, or nil.
    static func difference(_ actual: Value, _ expected: Value, type: ElementType = .float32, nodes: Int = 1)
        -> String?
    {
        guard actual.kind == expected.kind else { return "expected \(expected.summary), found \(actual.summary)" }
        guard actual.shape == expected.shape else { return "expected shape \(expected.shape), found \(actual.shape)" }
        switch (actual, expected) {
        case (.float(let a), .float(let b)):
            for (index, (x, y)) in zip(a.values, b.values).enumerated() {
                if x == y || (x.isNaN && y.isNaN) { continue }
                let error = abs(Double(x) - Double(y))
                let allowed = max(
                    absoluteTolerance + relativeTolerance * abs(Double(y)),
                    narrowUnits(nodes: nodes) * lastPlace(of: y, type))
                if !(error <= allowed) || !y.isFinite {
                    return "expected \(y) at \(index), found \(x)"
                }
            }
        case (.integer(let a), .integer(let b)):
            if let index = zip(a.values, b.values).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
                return "expected \(b[flat: index]) at \(index), found \(a[flat: index])"
            }
        case (.boolean(let a), .boolean(let b)):
            if let index = zip(a.values, b.values).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
                return "expected \(b[flat: index]) at \(index), found \(a[flat: index])"
            }
        default: return "found \(actual.summary)"
        }
        return nil
    }
}

/// What came of ONNX's conformance cases.
public struct NodeCaseReport: Sendable {
    public enum Outcome: Sendable, Equatable {
        case passed
        case failed(String)
        case notClaimed(String)
    }

    public struct Entry: Sendable {
        public let name: String
        public let result: Outcome
    }

    public let entries: [Entry]

    public var passed: [Entry] { entries.filter { $0.result == .passed } }
    public var failed: [Entry] { entries.filter { if case .failed = $0.result { true } else { false } } }
    public var notClaimed: [Entry] { entries.filter { if case .notClaimed = $0.result { true } else { false } } }
}

extension NodeCaseReport: CustomStringConvertible {
    /// The failed cases, the unclaimed ones by reason, and the counts.
    public var description: String {
        var lines: [String] = []
        for entry in failed {
            if case .failed(let why) = entry.result { lines.append("failed       \(entry.name): \(why)") }
        }
        for entry in notClaimed {
            if case .notClaimed(let why) = entry.result { lines.append("not claimed  \(entry.name): \(why)") }
        }
        lines.append("claimed operators: \(OperatorCatalogue.supportedTypes.joined(separator: " "))")
        lines.append(
            "\(passed.count) passed, \(failed.count) failed of \(passed.count + failed.count) claimed; \(notClaimed.count) not claimed"
        )
        return lines.joined(separator: "\n")
    }
}

extension Failure {
    /// Without the name of the file in front, where a list names it already.
    fileprivate func withoutPrefix(_ path: String) -> Failure {
        var copy = self
        if copy.subject.hasPrefix(path + ": ") { copy.subject.removeFirst(path.count + 2) }
        return copy
    }
}
