import Failures
import Foundation
import Networks
import Pipelines

/// What `tomolens inspect` says of a network.
struct NetworkInspection {
    let network: Network
    /// Extents that the file leaves open, by input.
    let shapes: [String: [Int]]
    let layers: [TapDescription]
    /// By tensor name; nil where a layer has no place in the input.
    let fields: [String: ReceptiveField]
    let head: Head?
    /// Why the head or the layers' places could not be told.
    var remarks: [String] = []

    /// - Parameter shape: of the first input, where the file leaves it open.
    init(_ url: URL, shape: [Int]?) throws {
        network = try Network(contentsOf: url)
        var given: [String: [Int]] = [:]
        if let shape, let first = network.inputs.first { given[first.name] = shape }
        shapes = try network.usualShapes(completing: given)
        layers = try network.taps(inputShapes: shapes)
        var fields: [String: ReceptiveField] = [:]
        for layer in layers {
            fields[layer.tap.tensor] = try? network.receptiveField(of: layer.tap.tensor, inputShapes: shapes)
        }
        self.fields = fields
        do { head = try network.head(inputShapes: shapes) } catch let failure as Failure {
            head = nil
            remarks.append(failure.description)
        }
        for input in network.inputs where input.fixedShape == nil && given[input.name] == nil {
            remarks.append(
                "The file leaves extents of '\(input.name)' open; layers are shown for \(shapes[input.name] ?? []) (--shape changes it)."
            )
        }
    }

    static func describe(_ activation: Logits.Activation) -> String {
        switch activation {
        case .none: "none: the output holds the scores themselves"
        case .softmax: "softmax"
        case .logSoftmax: "log-softmax"
        case .sigmoid: "sigmoid"
        case .argMax: "the number of the best class only"
        }
    }

    private static func describe(_ head: Head) -> String {
        let text =
            switch head.kind {
            case .globalAverageLinear: "global average, then one linear layer"
            case .globalAverage: "global average, then further layers"
            case .globalMax: "global maximum"
            case .flattenLinear: "flattened feature map, then linear"
            case .dense: "scores for every place"
            case .densePooled: "scores for places, pooled"
            case .classToken: "class token"
            case .averageToken: "average of tokens"
            case .other: "not recognised"
            }
        return head.averagingMisleads ? text + "; Grad-CAM's averaging misleads here, HiResCAM is right" : text
    }

    private func fieldTexts(_ layer: TapDescription) -> (jump: String, size: String, centre: String) {
        guard let field = fields[layer.tap.tensor], !field.axes.isEmpty else { return ("", "", "") }
        func joined(_ values: [Double]) -> String {
            let texts = values.map { ScanInspection.number($0, 2) }
            return Set(texts).count == 1 ? texts[0] : texts.joined(separator: "×")
        }
        let whole = field.axes.contains { $0.seesWhole } ? "whole" : joined(field.axes.map(\.size))
        return (joined(field.axes.map(\.jump)), whole, joined(field.axes.map(\.centre)))
    }

    func lines(all: Bool) -> [String] {
        var table = Table([.left, .left])
        table.add(["made by", "\(network.producer.isEmpty ? "unknown" : network.producer), opset \(network.opset)"])
        table.add(["parameters", Self.grouped(network.parameterCount)])
        for input in network.inputs { table.add(["input", "\(input.name)  \(input.shapeText)"]) }
        for output in network.outputs { table.add(["output", "\(output.name)  \(output.shapeText)"]) }
        if let head {
            table.add(["head", Self.describe(head)])
            table.add(["scores", "tensor '\(head.logits.tensor)'"])
            table.add(["activation", Self.describe(head.logits.activation)])
        }
        if let tap = try? network.defaultTap(inputShapes: shapes) {
            table.add(["default tap", "\(tap.node ?? tap.tensor)"])
        }
        for (key, value) in network.metadata.sorted(by: { $0.key < $1.key }) {
            table.add(["metadata", "\(key) = \(value.count > 60 ? value.prefix(57) + "…" : value)"])
        }
        var lines = [network.url.lastPathComponent] + table.lines()
        let shown = all ? layers : layers.filter { $0.spatialShape.reduce(1, *) > 1 || !$0.aliases.isEmpty }
        lines += [
            "",
            "Layers that can be tapped (--tap NAME or ALIAS)\(all ? "" : "; --all shows those without places too"):",
        ]
        var rows = Table(
            [.left, .left, .left, .right, .right, .right, .left],
            header: ["NAME", "TYPE", "SHAPE", "JUMP", "SIZE", "CENTRE", "ALIAS"])
        for layer in shown {
            let field = fieldTexts(layer)
            rows.add([
                layer.tap.name, layer.type, layer.shape.map(String.init).joined(separator: "×"), field.jump, field.size,
                field.centre, layer.aliases.map(\.rawValue).joined(separator: ", "),
            ])
        }
        lines += rows.lines()
        lines += [
            "",
            "JUMP: input voxels from one place to the next. SIZE: input voxels that a place sees. CENTRE: input index of the",
            "first place.",
        ]
        for remark in remarks { lines.append(remark) }
        return lines
    }

    static func grouped(_ number: Int) -> String {
        var text = ""
        for (index, digit) in String(number).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text = " " + text }
            text = String(digit) + text
        }
        return text
    }

    var json: JSON {
        func numbers(_ values: [Int]) -> JSON { .numbers(values.map(Double.init)) }
        func port(_ port: NetworkPort) -> JSON {
            .object([
                ("name", .text(port.name)), ("type", .text(String(describing: port.elementType))),
                ("shape", port.dims.map { .array($0.map { .text($0.description) }) } ?? .null),
            ])
        }
        return .object([
            ("file", .text(network.url.lastPathComponent)), ("kind", .text("network")),
            ("producer", .text(network.producer)),
            ("opset", .number(network.opset)), ("parameters", .number(network.parameterCount)),
            ("inputs", .array(network.inputs.map(port))), ("outputs", .array(network.outputs.map(port))),
            (
                "head",
                head.map { head in
                    .object([
                        ("kind", .text(head.kind.rawValue)), ("scores", .text(head.logits.tensor)),
                        ("activation", .text(Self.describe(head.logits.activation))),
                        ("averagingMisleads", .bool(head.averagingMisleads)),
                    ])
                } ?? .null
            ),
            ("defaultTap", .text((try? network.defaultTap(inputShapes: shapes))?.tensor)),
            (
                "layers",
                .array(
                    layers.map { layer in
                        let field = fields[layer.tap.tensor]
                        return .object([
                            ("name", .text(layer.tap.name)), ("tensor", .text(layer.tap.tensor)),
                            ("type", .text(layer.type)),
                            ("module", .text(layer.modulePath)), ("shape", numbers(layer.shape)),
                            ("spatialShape", numbers(layer.spatialShape)), ("channels", .number(layer.channels)),
                            ("aliases", .array(layer.aliases.map { .text($0.rawValue) })),
                            (
                                "receptiveField",
                                field.map { field in
                                    .array(
                                        field.axes.map { axis in
                                            .object([
                                                ("inputAxis", .number(axis.inputAxis)), ("jump", .number(axis.jump)),
                                                ("centre", .number(axis.centre)), ("size", .number(axis.size)),
                                                ("seesWhole", .bool(axis.seesWhole)),
                                            ])
                                        })
                                } ?? .null
                            ),
                        ])
                    })
            ),
            ("metadata", .object(network.metadata.sorted { $0.key < $1.key }.map { ($0.key, .text($0.value)) })),
            ("remarks", .array(remarks.map { .text($0) })),
        ])
    }
}
