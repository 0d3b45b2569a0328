import Explanations
import Failures
import Foundation
import TestSupport
import Testing

@testable import Pipelines

private func read(_ text: String) throws -> PipelineFile {
    try PipelineFile(JSON5Parser.parse(Data(text.utf8), named: "p"))
}

@Suite struct PipelineFileTests {
    @Test func everyKeyArrives() throws {
        let file = try read(
            """
            {
              version: 1, name: "n", description: "d",
              input: {pattern: "*.nii.gz", exclude: ["a*", "b*"], volume: 2, labels: "{stem}_m.nii", labelValues: [1, 3]},
              network: {file: "m.onnx", input: "ct", output: "y", inputs: {age: 50, sex: [0, 1], prior: "p.nii"},
                        classes: ["no", "yes"], activation: "softmax"},
              layout: {axes: "zyx", orientation: "lps", channelsLast: true, channels: 3},
              preparation: [
                {transform: "Orientation", axcodes: "RAS"},
                {_target_: "monai.transforms.Spacingd", keys: "image", pixdim: [1.5, 1.5, 1.5], mode: "bilinear"},
                "NormalizeIntensity",
              ],
              targets: ["argmax", 1, "yes", "every", "region", {class: "no"}, {region: 2}, {region: "largest"}, {mask: "yes"}],
              methods: ["gradcam"], taps: ["a", "b"], explain: "probability", accuracy: "precise",
              rendering: {colormap: "magma", window: [-160, 240], alpha: 0.5, threshold: 0.1, contours: [0.5], interpolation: "nearest", sideBySide: true,
                          planes: ["axial"], slices: {hottest: 4}, scale: "folder", signed: true, montage: 9,
                          convention: "neurological"},
              exports: {heatmaps: ["tap"], datatype: "int16", overlays: false},
            }
            """)
        #expect(file.name == "n" && file.description == "d")
        #expect(file.input.patterns == ["*.nii.gz"] && file.input.exclude == ["a*", "b*"] && file.input.volume == 2)
        #expect(file.input.labels == "{stem}_m.nii" && file.input.labelValues == [1, 3])
        #expect(file.network.file == "m.onnx" && file.network.input == "ct" && file.network.output == "y")
        #expect(file.network.inputs?.map(\.name) == ["age", "sex", "prior"])
        #expect(file.network.inputs?.map(\.value) == [.constant([50]), .constant([0, 1]), .file("p.nii")])
        #expect(file.network.classes == ["no", "yes"] && file.network.activation == .softmax)
        #expect(file.layout.axes == "zyx" && file.layout.orientation == "LPS")
        #expect(file.layout.channelsLast == true && file.layout.channels == 3)
        #expect(file.preparation?.map(\.transform) == ["Orientation", "Spacing", "NormalizeIntensity"])
        #expect(file.preparation?[1].parameters.map(\.name) == ["pixdim", "mode"])
        #expect(
            file.targets == [
                .highest, .one(.index(1)), .one(.name("yes")), .every, .region(nil), .one(.name("no")),
                .region(.index(2)),
                .region(nil), .masked(.name("yes")),
            ])
        #expect(file.methods == [MethodChoice("gradcam")] && file.taps == ["a", "b"] && file.explain == .probability)
        #expect(file.accuracy == .precise)
        #expect(file.rendering.colormap == "magma" && file.rendering.window == .range(-160...240))
        #expect(file.rendering.alpha == 0.5 && file.rendering.threshold == 0.1 && file.rendering.contours == [0.5])
        #expect(
            file.rendering.planes == [.axial] && file.rendering.slices == .hottest(4) && file.rendering.scale == .folder
        )
        #expect(
            file.rendering.signed == true && file.rendering.montage == 9 && file.rendering.convention == .neurological)
        #expect(file.exports.heatmaps == [.tap] && file.exports.datatype == .int16 && file.exports.overlays == false)
    }

    @Test func onlyTheVersionIsNeeded() throws {
        let file = try read("{version: 1}")
        #expect(file.targets == nil && file.rendering == RenderingSettings() && file.preparation == nil)
    }

    @Test(arguments: [
        (
            "[]",
            "the file (line 1): expected an object { … } with keys such as version, name, description, found an empty list."
        ),
        ("{}", "version (line 1): expected version: 1, found no version. Begin the file with { version: 1, … }."),
        ("{version: 2}", "version (line 1): expected 1, the only version of the format, found the number 2."),
        (
            "{version: 1, targts: []}",
            "targts (line 1): expected a key of a pipeline, found an unknown key. Did you mean 'targets'?"
        ),
        (
            "{version: 1, targets: []}",
            "targets (line 1): expected at least one element, found an empty list. Leave the key out for the default."
        ),
        (
            "{version: 1,\n rendering: {colourmap: 'jet'}}",
            "rendering.colourmap (line 2): expected a key of rendering, found an unknown key. Did you mean 'colormap'?"
        ),
        (
            "{version: 1, rendering: {colormap: 'viridsi'}}",
            "rendering.colormap (line 1): expected one of viridis, inferno, magma, plasma, turbo, diverging, jet, hot, gray, found the text \"viridsi\". Did you mean 'viridis'?"
        ),
        (
            "{version: 1, rendering: {alpha: 2}}",
            "rendering.alpha (line 1): expected a number from 0 to 1, found the number 2."
        ),
        (
            "{version: 1, rendering: {window: [400, -1000]}}",
            "rendering.window (line 1): expected [low, high] with low below high, found [400, -1000]."
        ),
        (
            "{version: 1, rendering: {planes: ['axail']}}",
            "rendering.planes[0] (line 1): expected one of axial, coronal, sagittal, found the text \"axail\". Did you mean 'axial'?"
        ),
        (
            "{version: 1, rendering: {slices: {hottest: 0}}}",
            "rendering.slices.hottest (line 1): expected a whole number from 1 to 100000, found the number 0."
        ),
        (
            "{version: 1, rendering: {slices: 5}}",
            "rendering.slices (line 1): expected \"all\" or {hottest: number}, found the number 5."
        ),
        (
            "{version: 1, rendering: {scale: 'self'}}",
            "rendering.scale (line 1): expected \"own\", \"folder\" or a number above 0, found the text \"self\"."
        ),
        (
            "{version: 1, rendering: {montage: 1.5}}",
            "rendering.montage (line 1): expected a whole number from 0 to 400, found the number 1.5."
        ),
        (
            "{version: 1, rendering: 'nice'}",
            "rendering (line 1): expected an object { … } with keys such as colormap, window, alpha, found the text \"nice\"."
        ),
        (
            "{version: 1, input: {pattern: 3}}",
            "input.pattern (line 1): expected text or a list of texts, found the number 3."
        ),
        (
            "{version: 1, input: {pattern: ['a', 3]}}",
            "input.pattern[1] (line 1): expected text in quotes, found the number 3."
        ),
        (
            "{version: 1, input: {volume: -1}}",
            "input.volume (line 1): expected a whole number from 0 to 2147483647, found the number -1."
        ),
        (
            "{version: 1, input: {labels: 'mask.nii'}}",
            "input.labels (line 1): expected a name with {stem} in it, found the text \"mask.nii\". Example: \"{stem}_mask.nii.gz\"."
        ),
        (
            "{version: 1, network: {classes: ['a', 'A']}}",
            "network.classes (line 1): expected every name once, found a list of 2. 'a' stands there 2 times."
        ),
        (
            "{version: 1, network: {inputs: {age: true}}}",
            "network.inputs.age (line 1): expected a number, a list of numbers, or a file's name, found true."
        ),
        (
            "{version: 1, network: {activation: 'relu'}}",
            "network.activation (line 1): expected one of softmax, sigmoid, none, auto, found the text \"relu\"."
        ),
        (
            "{version: 1, layout: {orientation: 'RAL'}}",
            "layout.orientation (line 1): expected three letters, one each of R/L, A/P and S/I, such as RAS or LPS, found the text \"RAL\"."
        ),
        (
            "{version: 1, layout: {axes: 'xyx'}}",
            "layout.axes (line 1): expected one of xyz, xzy, yxz, yzx, zxy, zyx, xy, yx, found the text \"xyx\". Did you mean 'xyz'?"
        ),
        (
            "{version: 1, preparation: [{axcodes: 'RAS'}]}",
            "preparation[0] (line 1): expected the key transform (or a MONAI bundle's _target_), found an object with axcodes. Example: {transform: \"Orientation\", axcodes: \"RAS\"}."
        ),
        (
            "{version: 1, preparation: [3]}",
            "preparation[0] (line 1): expected {transform: name, …} or a transform's name, found the number 3."
        ),
        (
            "{version: 1, methods: ['gradcma']}",
            "methods[0] (line 1): expected a method of `tomolens methods`, found 'gradcma'. Did you mean 'gradcam'?"
        ),
        (
            "{version: 1, methods: [{method: 'gradcam', steps: 3}]}",
            "methods[0] (line 1): expected no options, found 'steps'."
        ),
        (
            "{version: 1, methods: [{method: 'gradcam', steps: [3]}]}",
            "methods[0].steps (line 1): expected a number, a word, true or false, found [3]."
        ),
        (
            "{version: 1, targets: [{class: 'a', mask: 'b'}]}",
            "targets[0] (line 1): expected one of class, region, mask, found an object with class, mask."
        ),
        (
            "{version: 1, targets: [-1]}",
            "targets[0] (line 1): expected a class index or a class name, found the number -1."
        ),
        (
            "{version: 1, targets: [true]}",
            "targets[0] (line 1): expected \"argmax\", \"every\", \"region\", a class index, a class name, or {class: …}, {region: …}, {mask: …}, found true."
        ),
        (
            "{version: 1, accuracy: 'exact'}",
            "accuracy (line 1): expected one of fast, balanced, precise, found the text \"exact\"."
        ),
        (
            "{version: 1, explain: 'logits'}",
            "explain (line 1): expected one of logit, probability, found the text \"logits\". Did you mean 'logit'?"
        ),
        (
            "{version: 1, exports: {datatype: 'float64'}}",
            "exports.datatype (line 1): expected one of float32, int16, uint8, found the text \"float64\". Did you mean 'float32'?"
        ),
        (
            "{version: 1, exports: {heatmaps: ['world']}}",
            "exports.heatmaps[0] (line 1): expected \"scan\" or \"tap\", found the text \"world\"."
        ),
        (
            "{version: 1, exports: {overlays: 'yes'}}",
            "exports.overlays (line 1): expected true or false, found the text \"yes\"."
        ),
    ]) func mistakesNameTheKey(text: String, message: String) {
        do {
            _ = try read(text)
            Issue.record("accepted \(text)")
        } catch let failure as Failure {
            #expect(failure.kind == .pipeline)
            #expect(failure.description == message)
        } catch { Issue.record(error) }
    }

    @Test func aMissingFileOffersItsNeighbour() throws {
        let folder = Fixtures.temporaryFolder()
        try Data("{version: 1}".utf8).write(to: folder.appendingPathComponent("lung.json5"))
        #expect(
            try PipelineFile.read(folder.appendingPathComponent("lung.json5")).source?.lastPathComponent == "lung.json5"
        )
        do {
            _ = try PipelineFile.read(folder.appendingPathComponent("lnug.json5"))
            Issue.record("read a file that is not there")
        } catch let failure as Failure {
            #expect(failure.found == "no such file" && failure.remedy == "Did you mean 'lung.json5'?")
        }
        #expect(throws: Failure.self) { try PipelineFile.read(folder) }
    }

    @Test func theFileWinsOverTheNetworksOwnWords() throws {
        let file = try read("{version: 1, layout: {axes: 'zyx'}, rendering: {alpha: 0.3}}")
        let metadata = try PipelineFile.fromMetadata(
            "{\"version\": 1, \"layout\": {\"axes\": \"xyz\", \"orientation\": \"LPS\"}, \"network\": {\"classes\": [\"a\"]}}",
            of: "m.onnx")
        let joined = file.completed(by: metadata)
        #expect(joined.layout.axes == "zyx" && joined.layout.orientation == "LPS")
        #expect(joined.network.classes == ["a"] && joined.rendering.alpha == 0.3)
    }

    @Test func aMistakeInMetadataIsTheNetworks() {
        do {
            _ = try PipelineFile.fromMetadata("{version: 1, lay: {}}", of: "m.onnx")
            Issue.record("accepted")
        } catch let failure as Failure {
            #expect(failure.kind == .network)
            #expect(failure.subject == "m.onnx, metadata 'tomolens': lay (line 1)")
        } catch { Issue.record(error) }
    }

    @Test func classNamesBecomeIndices() throws {
        #expect(
            try TargetSettings(parsing: "mask:nodule").target(classNames: ["none", "Nodule"]) == .masked(classIndex: 1))
        #expect(try TargetSettings(parsing: "2").target(classNames: []) == .index(2))
        #expect(throws: Failure.self) { try TargetSettings(parsing: "nodul").target(classNames: ["none", "nodule"]) }
        #expect(throws: Failure.self) { try TargetSettings(parsing: "mask:") }
        for text in ["argmax", "every", "region", "region:1", "mask:a", "a", "3"] {
            #expect(try TargetSettings(parsing: text).text == text)
        }
    }

    @Test func everyKeyIsDescribed() {
        for group in PipelineKeys.all {
            #expect(Set(group.names).count == group.names.count)
            for key in group.keys { #expect(key.help.hasSuffix("."), "\(group.path).\(key.name)") }
        }
    }
}
