import Arguments
import Explanations
import Failures
import Foundation
import Inspections
import Networks
import Pipelines
import Preparations
import Rendering
import Tensors
import Volumes

/// `tomolens attack SCAN`
enum AttackCommand: Subcommand {
    static let kind = Option(
        "kind", .choice(["pgd", "fgsm"], "KIND"), help: "Several small steps (PGD), or one (FGSM).", default: "pgd")
    static let norm = Option(
        "norm", .choice(AdversarialAttack.Norm.allCases.map(\.rawValue), "NORM"),
        help: "What is bounded: each voxel's change, or the root mean square over all that may change.",
        default: "linf")
    static let epsilon = Option(
        "epsilon", short: "e", LookingSupport.number(0.001...10_000, "HU"),
        help: "The bound, in HU (grey levels of an image).", default: "4")
    static let steps = Option("steps", .integer(1...10_000), help: "Steps of PGD.", default: "20")
    static let stepSize = Option(
        "step-size", LookingSupport.number(0.0001...10_000, "HU"), help: "Of PGD.", default: "2.5 ε / steps")
    static let randomStart = Flag("random-start", help: "Begin PGD at a random point within the bound.")
    static let toward = Option(
        "toward", .text("CLASS", expected: "a class index or name"),
        help: "The class that the answer is to become.", default: "any but the one that wins")
    static let everywhere = Flag("everywhere", help: "Change voxels outside of the body too.")
    static let slice = Option(
        "slice", .integer(1...100_000), help: "Of a scan for a 2D network: which slice.",
        default: "the one with the highest score")
    static let sweep: Option<[Double]> = Option(
        "sweep",
        ValueReader<[Double]>(placeholder: "E,E,…", expected: "two to forty numbers above 0") { text in
            let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
            guard (2...40).contains(values.count), values.allSatisfy({ ($0 ?? 0) > 0 && ($0 ?? 0) < 1e5 }) else {
                return nil
            }
            return values.map { $0! }.sorted()
        }, help: "Attack with each of these bounds too, and draw what happens as a curve.")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "SCAN's name and '-attacked', here")

    static let declaration = CommandDeclaration(
        "attack", summary: "change a scan a little so that the answer changes",
        discussion: [
            """
            Searches, within a bound in HU and inside the body, for the change that most moves the network's answer away from what \
            it is (or toward another class). Shows the change, the answers before and after, how far the features of every layer \
            move, and how the heatmap drifts. Where few HU are enough, neither the answer nor its map should be leaned on. Voxels \
            that the preparation clips are left alone: no change within the bound reaches the network there.
            """
        ], positionals: [LookingSupport.scan.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [
                    SharedOptions.model.declaration, ExplainCommand.pipeline.declaration, slice.declaration,
                    output.declaration,
                ]),
            OptionGroup(
                "The attack",
                [
                    kind.declaration, norm.declaration, epsilon.declaration, steps.declaration, stepSize.declaration,
                    randomStart.declaration, LookingSupport.seed.declaration, toward.declaration,
                    everywhere.declaration, sweep.declaration,
                ]),
            OptionGroup(
                "The heatmap that drifts", [SharedOptions.methods.declaration, SharedOptions.taps.declaration]),
            SharedOptions.preparation, LookingSupport.running,
        ],
        examples: [
            Example(
                "Within 4 HU:", "tomolens attack chest.nii.gz --pipeline pipelines/lung-nodule.json5"),
            Example(
                "How much does it take?",
                "tomolens attack chest.nii.gz -p my.json5 --sweep 0.25,0.5,1,2,4,8,16"),
            Example(
                "One step toward a class, on an image:",
                "tomolens attack dog.png -m vgg16.onnx --kind fgsm --toward 285 --epsilon 2"),
        ])

    /// One attack, and what it did.
    struct Result {
        let epsilon: Double
        let outcome: AdversarialAttack.Outcome
        let after: TapMap
        let overlap: Double
        let structure: Double
    }

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let (url, isPicture) = try LookingSupport.scanURL(arguments.required(LookingSupport.scan))
        let plan = try LookingSupport.plan(arguments, console, command: "attack", forPictures: isPicture)
        let scan = try plan.prepare(url)
        for warning in scan.warnings { console.note("warning: \(warning.printable)") }
        let stop = console.stop
        let number = try chosenSlice(arguments, plan, scan, stop)
        let input = scan.inputs[number]
        let units = try plan.units(of: scan, input: number)
        var allowed = units.follows
        if !isPicture, !arguments[everywhere] {
            let body = BodyMask()(scan.scan)
            let volume = Volume(grid: body.grid, voxels: body.isSet.map { $0 ? 1 : 0 })
            let there = Resampler(.nearest, outside: .constant(0)).resample(volume, onto: input.grid)
            let inside = input.tensorSpatial(from: there)
            for place in allowed.indices where inside[place] < 0.5 { allowed[place] = false }
        }
        let space = AttackSpace(
            scale: units.scale, isShared: units.isShared, allowed: allowed, original: units.original,
            limits: units.limits)
        let before = try plan.explainer.answer(input)
        let goal = try goal(arguments, before, plan)
        let winner = winner(before)

        var request = plan.request
        request.targets = [.index(winner)]
        func map(_ tensor: Tensor<Float>) throws -> TapMap {
            let changed = PreparedInput(tensor: tensor, grid: input.grid, layout: input.layout, slice: input.slice)
            let found = try plan.explainer.explain(changed, request) { stop.isMade }
            return found.explanations[0].maps[0]
        }
        let mapBefore = try map(input.tensor)
        let method = try plan.explainer.explain(input, request).explanations[0].method.title
        func attack(_ epsilon: Double) throws -> Result {
            var settings = AdversarialAttack.Settings()
            settings.norm = AdversarialAttack.Norm(rawValue: arguments[norm] ?? "linf")!
            settings.epsilon = epsilon
            settings.steps = arguments[kind] == "fgsm" ? 1 : arguments[steps] ?? 20
            settings.stepSize = arguments[stepSize]
            settings.randomStart = arguments[randomStart]
            settings.seed = arguments[LookingSupport.seed] ?? 0
            let outcome = try AdversarialAttack(plan.explainer, space, settings).run(input, goal: goal) { stop.isMade }
            let after = try map(outcome.input)
            let (a, b) = (mapBefore.values.values, after.values.values)
            let range = Double((a.max() ?? 0) - (a.min() ?? 0))
            return Result(
                epsilon: epsilon, outcome: outcome, after: after, overlap: Similarity.topOverlap(a, b),
                structure: Similarity.structural(a, b, shape: mapBefore.values.shape, range: range > 0 ? range : 1))
        }
        let bound = arguments[epsilon] ?? 4
        let result = try attack(bound)
        var swept: [Result] = []
        for value in arguments[sweep] ?? [] {
            console.showProgress("bound \(LookingSupport.number(value)) \(units.unit)")
            swept.append(try attack(value))
        }
        console.clearProgress()
        let shifts = try FeatureShift.between(input.tensor, result.outcome.input, plan.explainer) { stop.isMade }

        let folder = try LookingSupport.folder(arguments[output] ?? "\(scan.stem)-attacked")
        let quiet = arguments[SharedOptions.quiet]
        let name = scan.inputs.count > 1 ? "\(scan.stem)_slice\(number + 1)" : scan.stem
        let drawing = AttackDrawing(
            scan: scan, input: input, units: units, before: mapBefore, method: method, unit: units.unit)
        try LookingSupport.write(
            drawing.picture(result, title: title(name, result, arguments, units)), "\(name)_attack.png", in: folder,
            console, quiet: quiet)
        try LookingSupport.write(
            drawing.layers(shifts, title: name), "\(name)_layers.png", in: folder, console, quiet: quiet)
        try LookingSupport.write(layerTable(shifts), "\(name)_layers.csv", in: folder)
        if !swept.isEmpty {
            try LookingSupport.write(
                drawing.curve(swept, class: winner, title: name), "\(name)_sweep.png", in: folder, console, quiet: quiet
            )
            try LookingSupport.write(sweepTable(swept, winner), "\(name)_sweep.csv", in: folder)
        }
        try drawing.writeVolumes(result, plan, name, to: folder)
        try LookingSupport.write(
            json(result, swept, shifts, plan, winner, space, units).serialized(), "\(name)_attack.json", in: folder)
        if !quiet { for line in lines(result, winner, units, space) { console.print(line.printable) } }
        return 0
    }

    private static func winner(_ answer: Answer) -> Int {
        if answer.isDense {
            let counts = answer.winners().reduce(into: [Int](repeating: 0, count: answer.classCount)) { $0[$1] += 1 }
            return counts.indices.dropFirst().max { counts[$0] < counts[$1] } ?? 0
        }
        let logits = answer.logits.values
        return logits.indices.max { logits[$0] < logits[$1] || (logits[$0] == logits[$1] && $0 > $1) } ?? 0
    }

    private static func chosenSlice(
        _ arguments: ParsedArguments, _ plan: Plan, _ scan: PreparedScan, _ stop: StopRequest
    ) throws -> Int {
        if let number = arguments[slice] {
            guard number <= scan.inputs.count else {
                throw Failure(
                    .usage, "option '--slice'", expected: "a slice from 1 to \(scan.inputs.count)", found: "\(number)")
            }
            return number - 1
        }
        guard scan.inputs.count > 1 else { return 0 }
        var best = (slice: 0, score: -Float.infinity)
        for (index, input) in scan.inputs.enumerated() {
            try stop.check()
            let score = try plan.explainer.answer(input).logits.values.max() ?? 0
            if score > best.score { best = (index, score) }
        }
        return best.slice
    }

    private static func goal(
        _ arguments: ParsedArguments, _ answer: Answer, _ plan: Plan
    ) throws -> AdversarialAttack.Goal? {
        guard let text = arguments[toward] else { return nil }
        let names = answer.classNames
        guard let index = Int(text) ?? names.firstIndex(where: { $0.lowercased() == text.lowercased() }),
            index >= 0, index < answer.classCount
        else {
            throw Failure(
                .usage, "option '--toward'", expected: "a class from 0 to \(answer.classCount - 1)", found: "'\(text)'",
                remedy: names.isEmpty ? "" : Nearest.suggestion(text, in: names))
        }
        guard index != winner(answer) || answer.classCount == 1 else {
            throw Failure(
                .usage, "option '--toward'", expected: "a class that does not win already", found: answer.label(index))
        }
        return .toward(index)
    }

    private static func title(
        _ name: String, _ result: Result, _ arguments: ParsedArguments, _ units: PreparedUnits
    ) -> String {
        let kind = (arguments[kind] ?? "pgd").uppercased()
        let norm = arguments[norm] == "l2" ? "root mean square" : "every voxel"
        return "\(name) · \(kind), \(norm) at most \(LookingSupport.number(result.epsilon)) \(units.unit)"
    }

    private static func text(_ answer: Answer, _ index: Int) -> String {
        guard !answer.isDense else {
            let voxels = answer.winners().filter { $0 == index }.count
            return "\(voxels) voxels"
        }
        let score = LookingSupport.number(Double(answer.logits[flat: index]), 4)
        return score + (answer.probabilities.map { String(format: "  p %.4f", $0[index]) } ?? "")
    }

    private static func lines(
        _ result: Result, _ winner: Int, _ units: PreparedUnits, _ space: AttackSpace
    ) -> [String] {
        let (before, after) = (result.outcome.before, result.outcome.after)
        let now = self.winner(after)
        var lines = [
            result.outcome.isReached ? "The answer changed." : "The answer did not change."
        ]
        var table = Table([.left, .right, .right], header: ["CLASS", "BEFORE", "AFTER"])
        for index in Array(Set([winner, now])).sorted() {
            table.add([before.label(index), text(before, index), text(after, index)])
        }
        lines += table.lines()
        lines.append(
            "change: at most \(LookingSupport.number(result.outcome.largest)) \(units.unit), root mean square \(LookingSupport.number(result.outcome.rootMeanSquare)) \(units.unit), over \(space.count) values"
        )
        lines.append(
            "heatmap: \(LookingSupport.percent(result.overlap)) of the hottest tenth stays (10 % by chance), SSIM \(LookingSupport.number(result.structure))"
        )
        return lines
    }

    private static func layerTable(_ shifts: [FeatureShift]) -> String {
        var csv = CSV(columns: ["layer", "relative_l2", "cka"])
        for shift in shifts {
            csv.add([
                .text(shift.layer), .number(shift.relativeDistance), shift.alignment.map { .number($0) } ?? .empty,
            ])
        }
        return csv.text
    }

    private static func number(_ answer: Answer, _ index: Int) -> Double {
        if answer.isDense {
            return Double(answer.winners().filter { $0 == index }.count) / Double(max(1, answer.voxelCount))
        }
        return answer.probabilities?[index] ?? Double(answer.logits[flat: index])
    }

    private static func sweepTable(_ swept: [Result], _ winner: Int) -> String {
        var csv = CSV(columns: ["epsilon", "answer_before", "answer_after", "reached", "top_overlap", "ssim", "loss"])
        for result in swept {
            csv.add([
                .number(result.epsilon), .number(number(result.outcome.before, winner)),
                .number(number(result.outcome.after, winner)), .text(result.outcome.isReached ? "true" : "false"),
                .number(result.overlap), .number(result.structure), .number(result.outcome.losses.last ?? 0),
            ])
        }
        return csv.text
    }

    private static func json(
        _ result: Result, _ swept: [Result], _ shifts: [FeatureShift], _ plan: Plan, _ winner: Int,
        _ space: AttackSpace, _ units: PreparedUnits
    ) -> JSON {
        func describe(_ result: Result) -> JSON {
            let members: [(String, JSON)] = [
                ("epsilon", .number(result.epsilon)), ("reached", .bool(result.outcome.isReached)),
                ("class", .number(winner)), ("before", .number(number(result.outcome.before, winner))),
                ("after", .number(number(result.outcome.after, winner))),
                ("classAfter", .number(self.winner(result.outcome.after))),
                ("largest", .number(result.outcome.largest)),
                ("rootMeanSquare", .number(result.outcome.rootMeanSquare)),
                ("topOverlap", .number(result.overlap)), ("ssim", .number(result.structure)),
                ("losses", .numbers(result.outcome.losses)),
            ]
            return .object(members)
        }
        let layers: [JSON] = shifts.map {
            .object([
                ("layer", .text($0.layer)), ("relativeL2", .number($0.relativeDistance)),
                ("cka", .number($0.alignment)),
            ])
        }
        return .object([
            ("tool", .text(Product.signature)), ("network", .array(plan.networkFiles.map(\.json))),
            ("unit", .text(units.unit)), ("values", .number(space.count)), ("attack", describe(result)),
            ("layers", .array(layers)), ("sweep", .array(swept.map(describe))),
        ])
    }
}

/// An attack as pictures and volumes.
struct AttackDrawing {
    let scan: PreparedScan
    let input: PreparedInput
    let units: PreparedUnits
    let before: TapMap
    let method: String
    let unit: String

    private static let tile = 200

    /// Values in the order of the tensor's places as a volume on the prepared grid.
    private func volume(_ values: [Float]) throws -> Volume {
        let spatial = input.layout.spatialShape(input.grid.shape)
        return try input.volume(
            fromTensorSpatial: values, shape: spatial, jump: spatial.map { _ in 1 }, centre: spatial.map { _ in 0 })
    }

    /// One volume a channel for a picture, one for a CT.
    private func volumes(_ values: [Float]) throws -> [Volume] {
        let places = units.follows.count
        return try stride(from: 0, to: values.count, by: places).map { try volume(Array(values[$0..<$0 + places])) }
    }

    func picture(_ result: AttackCommand.Result, title: String) throws -> Picture {
        let original = try volumes(units.original)
        let change = try volumes(result.outcome.change)
        let changed = try volumes(zip(units.original, result.outcome.change).map { $0 + $1 })
        let plane = VolumeSlices.natural(for: input.grid)
        let slices = VolumeSlices(input.grid, plane)
        let heatBefore = try HeatPlacement.place(before.volume, on: input.grid, seen: input.grid)
        let heatAfter = try HeatPlacement.place(result.after.volume, on: input.grid, seen: input.grid)
        let hot = slices.sums(heatBefore) { max(0, Double($0)) }
        let moved = slices.sums(change[0])
        func most(_ sums: [Double]) -> Int { sums.indices.max { sums[$0] < sums[$1] } ?? 0 }
        var chosen: [Int] = []
        for index in [most(hot), most(moved), slices.count / 2] where !chosen.contains(index) { chosen.append(index) }
        let palette = Palette(.diverging, scale: .fixed(Float(max(result.outcome.largest, 1e-6)), signed: true))
        let top = ScaleRange(of: heatBefore)
        var style = OverlayStyle()
        style.showsHeader = false
        style.showsColourBar = false
        style.showsLetters = false
        style.showsScaleBar = false
        style.minimumSize = Self.tile
        style.maximumSize = Self.tile
        style.scale = top.isBlank ? nil : top
        func overlay(_ heat: Volume, _ under: Volume, _ index: Int) throws -> Picture {
            try OverlayRenderer(scan: under, heat: heat, style: style).slice(plane, index)
        }
        func grey(_ volumes: [Volume], _ index: Int) -> Picture {
            if volumes.count == 3 {
                let parts = volumes.map { slices.grey($0, index, longest: Self.tile, from: 0, to: 255) }
                var pixels: [UInt8] = []
                for place in parts[0].pixels.indices { for part in parts { pixels.append(part.pixels[place]) } }
                return Picture(width: parts[0].width, height: parts[0].height, layout: .rgb, pixels: pixels)
            }
            let values = original[0].voxels.sorted()
            let (low, high) = (values[values.count / 100], values[values.count - 1 - values.count / 100])
            return slices.grey(volumes[0], index, longest: Self.tile, from: low, to: high)
        }
        var tiles: [TileGrid.Tile] = []
        for index in chosen.sorted(by: >) {
            tiles += [
                .init(grey(original, index)),
                .init(palette.slice(change[0], plane: plane, index: index, longest: Self.tile)),
                .init(grey(changed, index)), .init(try overlay(heatBefore, original[0], index)),
                .init(try overlay(heatAfter, changed[0], index)),
            ]
        }
        let (first, second) = (result.outcome.before, result.outcome.after)
        var parts: [String] = []
        if !first.isDense {
            let index = first.logits.values.indices.max { first.logits[flat: $0] < first.logits[flat: $1] } ?? 0
            func text(_ answer: Answer) -> String {
                answer.probabilities.map { String(format: "p %.3f", $0[index]) }
                    ?? LookingSupport.number(Double(answer.logits[flat: index]))
            }
            parts.append("\(first.label(index)): \(text(first)) before, \(text(second)) after")
        }
        parts.append("\(method), both on the scale of the map before")
        parts.append(
            "hottest tenth that stays \(LookingSupport.percent(result.overlap)), SSIM \(LookingSupport.number(result.structure))"
        )
        var grid = TileGrid(title: title, parts: parts, tiles: tiles, columns: 5)
        grid.columnTitles = ["scan", "change", "changed scan", "map before", "map after"]
        if slices.count > 1 { grid.rowTitles = chosen.sorted(by: >).map { "\($0 + 1)/\(slices.count)" } }
        grid.palette = palette
        grid.quantity = "change, \(unit)"
        return grid.picture()
    }

    func layers(_ shifts: [FeatureShift], title: String) -> Picture {
        var chart = Chart(
            title: "\(title) · how far features move", parts: ["the changed scan against the scan"], xTitle: "",
            yTitle: "",
            series: [
                .init(
                    "relative L2 distance",
                    shifts.enumerated().map { SIMD2(Double($0.offset), $0.element.relativeDistance) }, form: .markedLine
                ),
                .init(
                    "1 − CKA",
                    shifts.enumerated().compactMap { place, shift in
                        shift.alignment.map { SIMD2(Double(place), max(0, 1 - $0)) }
                    }, form: .markedLine),
            ])
        chart.categories = shifts.map(\.layer)
        chart.width = max(420, min(1200, 20 * shifts.count))
        return chart.picture()
    }

    func curve(_ swept: [AttackCommand.Result], class index: Int, title: String) -> Picture {
        func series(_ label: String, _ value: (AttackCommand.Result) -> Double?) -> Chart.Series {
            .init(
                label, swept.compactMap { result in value(result).map { SIMD2(result.epsilon, $0) } },
                form: .markedLine)
        }
        var chart = Chart(
            title: "\(title) · what it takes", parts: ["each point an attack of its own"], xTitle: "bound, \(unit)",
            yTitle: "",
            series: [
                series("probability of \(swept[0].outcome.before.label(index))") {
                    $0.outcome.after.probabilities?[index]
                },
                series("hottest tenth that stays") { $0.overlap }, series("SSIM of the maps") { $0.structure },
            ])
        chart.xScaling = .logarithmic
        chart.yRange = -0.05...1.05
        return chart.picture()
    }

    func writeVolumes(_ result: AttackCommand.Result, _ plan: Plan, _ name: String, to folder: URL) throws {
        let change = try volumes(result.outcome.change)
        let changed = try volumes(zip(units.original, result.outcome.change).map { $0 + $1 })
        for (volumes, suffix, what) in [(change, "change", "change"), (changed, "changed", "changed scan")] {
            var writer = NIfTIWriter()
            writer.reference = scan.header
            writer.intent = .estimate(String(suffix.prefix(15)))
            writer.description = "\(Product.signature) \(what), \(unit)"
            if suffix == "change" {
                let top = max(result.outcome.largest, 1e-6)
                writer.displayRange = -top...top
            }
            let provenance = JSON.object([
                ("generator", .text(Product.signature)), ("intendedUse", .text("research, not diagnosis")),
                ("network", .array(plan.networkFiles.map(\.json))), ("epsilon", .number(result.epsilon)),
                ("unit", .text(unit)), ("grid", .text("the prepared scan's")),
            ])
            writer.extensions = [NIfTIExtension(comment: provenance.serialized(pretty: false))]
            let url = folder.appendingPathComponent("\(name)_\(suffix).nii.gz")
            if volumes.count == 1 {
                try writer.write(volumes[0], to: url)
            } else {
                try writer.write(series: volumes, to: url)
            }
        }
    }
}
