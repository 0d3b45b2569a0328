import Foundation
import Pipelines
import Rendering
import TestSupport
import Testing
import Volumes

/// The commands that look at the network itself, from the command line to the files.
@Suite struct LookingTests {
    func picture(_ folder: URL, _ name: String) throws -> Picture {
        try PictureReader.read(folder.appendingPathComponent(name))
    }

    func lines(_ folder: URL, _ name: String) throws -> [[String]] {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8).split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
    }

    func apart(_ a: Vector3, _ b: Vector3) -> Double { ((a - b) * (a - b)).sum().squareRoot() }

    // MARK: kernels

    @Test func kernelsOfALayer() throws {
        let sandbox = try Sandbox()
        let folder = sandbox.root.appendingPathComponent("k")
        let outcome = tomolens(["kernels", sandbox.model.path, "--output", folder.path])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try picture(folder, "first-conv_kernels.png").width > 100)
        let table = try lines(folder, "first-conv_kernels.csv")
        #expect(table.count == 3 && table[0][0] == "kernel")
        // 27 weights of 1/27 each.
        #expect(abs(Double(table[1][1])! - (1 / 27.0).squareRoot()) < 1e-6)
        // The second kernel is the first's negative.
        #expect(abs(Double(table[1][6])! + 1) < 1e-6)
    }

    @Test func kernelsEveryView() throws {
        let sandbox = try Sandbox(network: .brightness(rank: 2, channels: 3))
        let folder = sandbox.root.appendingPathComponent("k")
        for arguments in [
            ["--by", "rgb"], ["--by", "norm"], ["--by", "channel", "--channels", "0,2"], ["--sort", "norm"],
            ["--sort", "similarity", "--scale", "layer"], ["--kernels", "1"], ["--layer", "last-conv"],
        ] {
            let outcome = tomolens(["kernels", sandbox.model.path, "--output", folder.path, "-q"] + arguments)
            #expect(outcome.code == 0, "\(arguments): \(outcome.errors)")
            #expect(outcome.output.isEmpty)
        }
    }

    @Test func kernelsRefuseWhatCannotBe() throws {
        let sandbox = try Sandbox()
        let folder = sandbox.root.appendingPathComponent("k").path
        for (arguments, code, words) in [
            (["--layer", "features2"], 5, "Layers with kernels"), (["--layer", "first-cnv"], 5, "first-conv"),
            (["--by", "rgb"], 2, "three channels"), (["--kernels", "9"], 2, "from 0 to 1"),
            (["--by", "channel", "--channels", "4"], 2, "from 0 to 0"), (["--axes", "xy"], 2, "3 axes"),
        ] {
            let outcome = tomolens(["kernels", sandbox.model.path, "--output", folder] + arguments)
            #expect(outcome.code == Int32(code), "\(arguments): \(outcome.errors)")
            #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        }
    }

    // MARK: features

    @Test func featuresOfAScanLieWhereTheLayerLies() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan()
        let folder = sandbox.root.appendingPathComponent("f")
        let outcome = tomolens([
            "features", scan.path, "--pipeline", sandbox.pipeline.path, "--layer", "features1,features2", "--output",
            folder.path,
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try picture(folder, "a_features2.png").width > 200)
        let image = try NIfTIFile.read(folder.appendingPathComponent("a_features2.nii.gz"), volume: 1)
        #expect(image.volume.grid.shape == [8, 8, 6])
        #expect(image.header.dim[4] == 2)
        // Prepared in RAS; pooled once: two voxels apart, the first between voxels 0 and 1.
        let prepared = Sandbox.ball().closestCanonical.grid
        let expected = prepared.affine(Vector3(0.5, 0.5, 0.5))
        #expect(apart(image.volume.grid.affine.origin, expected) < 1e-4)
        #expect(apart(image.volume.grid.affine.i, prepared.affine.i * 2) < 1e-5)
        // The bright ball is where the bright channel is strongest.
        let bright = try NIfTIFile.read(folder.appendingPathComponent("a_features1.nii.gz"), volume: 1)
        let table = try lines(folder, "a_features1.csv")
        #expect(table.count == 3 && table[0][5] == "zeros")
        #expect(bright.volume.grid.shape == [16, 16, 12])
    }

    @Test func featuresInEveryForm() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan()
        let folder = sandbox.root.appendingPathComponent("f")
        let base = ["features", scan.path, "-p", sandbox.pipeline.path, "-o", folder.path, "-q"]
        for arguments in [
            ["--slices", "mosaic", "--channels", "1"], ["--slices", "3", "--scale", "own"], ["--plane", "coronal"],
            ["--volumes", "all", "--count", "1"], ["--volumes", "none", "--colormap", "magma"],
        ] {
            let outcome = tomolens(base + arguments)
            #expect(outcome.code == 0, "\(arguments): \(outcome.errors)")
        }
        #expect(try picture(folder, "a_first-conv_channel1.png").height > 100)
        for (arguments, words) in [
            (["--channels", "7"], "from 0 to 1"), (["--slices", "900"], "a slice from 1"),
            (["--layer", "scores"], "spatial"),
        ] {
            let outcome = tomolens(base + arguments)
            #expect(outcome.code != 0 && outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        }
    }

    @Test func featuresOfAnImageThroughA2DNetwork() throws {
        let sandbox = try Sandbox(network: .brightness(rank: 2, channels: 3, size: [32, 32]))
        var picture = Picture(width: 40, height: 32, filledWith: Colour(20, 20, 20))
        for index in picture.pixels.indices where index % 7 == 0 { picture.pixels[index] = 200 }
        let url = sandbox.root.appendingPathComponent("dog.png")
        try picture.writePNG(to: url)
        let folder = sandbox.root.appendingPathComponent("f")
        let outcome = tomolens(["features", url.path, "-m", sandbox.model.path, "-o", folder.path])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try self.picture(folder, "dog_first-conv.png").width > 200)
    }

    // MARK: maximize

    func json(_ folder: URL, _ name: String) throws -> JSON {
        try JSON5Parser.parse(Data(contentsOf: folder.appendingPathComponent(name)), named: name)
    }

    @Test func maximizeClimbsAndComparesWithRealScans() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan()
        let folder = sandbox.root.appendingPathComponent("m")
        let arguments = [
            "maximize", sandbox.model.path, "--channel", "1", "--pipeline", sandbox.pipeline.path, "--size", "16",
            "--steps", "30", "--seeds", "2", "--compare", sandbox.scans.path, "-o", folder.path,
        ]
        let outcome = tomolens(arguments)
        #expect(outcome.code == 0, "\(outcome.errors)")
        let summary = try json(folder, "logits_channel1.json")
        let runs = summary["runs"]!.array!
        #expect(runs.count == 2)
        for run in runs { #expect(run["reached"]!.number! > run["start"]!.number!) }
        let real = summary["realInputs"]!.array!
        #expect(real.count == 1 && real[0]["input"]!.text == "a")
        #expect(runs[0]["reached"]!.number! > real[0]["activation"]!.number!)
        // What the preparation makes of −1024 and 3071 HU.
        #expect(summary["settings"]!["range"]!.array![0].array!.map { $0.number! } == [0, 1])
        #expect(try picture(folder, "logits_channel1.png").width > 300)
        #expect(try picture(folder, "logits_channel1_curve.png").width > 300)
        #expect(try lines(folder, "logits_channel1_curve.csv").count == 61)
        let volume = folder.appendingPathComponent("logits_channel1_seed0.nii.gz")
        let first = try NIfTIFile.read(volume)
        #expect(first.volume.grid.shape == [16, 16, 16])
        #expect(first.volume.voxels.allSatisfy { $0 >= 0 && $0 <= 1 })
        // The same bytes again.
        let bytes = try Data(contentsOf: volume)
        #expect(tomolens(arguments).code == 0)
        #expect(try Data(contentsOf: volume) == bytes)
    }

    @Test func maximizeAUnitFromAScanAndA2DClass() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan()
        let folder = sandbox.root.appendingPathComponent("m")
        let unit = tomolens([
            "maximize", sandbox.model.path, "-p", sandbox.pipeline.path, "-l", "features2", "-c", "1", "--unit",
            "2,5,3", "--start", scan.path, "--basis", "voxels", "--blur", "0.6", "--steps", "10", "-o", folder.path,
            "-q",
        ])
        #expect(unit.code == 0 && unit.output.isEmpty, "\(unit.errors)")
        let image = try NIfTIFile.read(folder.appendingPathComponent("features2_channel1_unit2-5-3_seed0.nii.gz"))
        // It lies where the scan lies.
        #expect(apart(image.volume.grid.affine.origin, Sandbox.ball().closestCanonical.grid.affine.origin) < 1e-4)
        let flat = try Sandbox(network: .brightness(rank: 2, channels: 3, size: [32, 32]))
        let second = tomolens([
            "maximize", flat.model.path, "-c", "1", "--steps", "10", "-o", folder.path,
        ])
        #expect(second.code == 0, "\(second.errors)")
        let plain = try picture(folder, "logits_channel1_seed0_plain.png")
        #expect(plain.width == 32 && plain.height == 32 && plain.layout == .rgb)
    }

    @Test func maximizeAMarginAboveAllOtherClasses() throws {
        let sandbox = try Sandbox()
        let folder = sandbox.root.appendingPathComponent("m")
        let base = ["maximize", sandbox.model.path, "-p", sandbox.pipeline.path, "--size", "16", "-o", folder.path]
        let outcome = tomolens(base + ["-c", "1", "--margin", "--steps", "20"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let summary = try json(folder, "logits_channel1_margin.json")
        let run = summary["runs"]!.array![0]
        #expect(summary["margin"]!.bool == true && run["reached"]!.number! > run["start"]!.number! + 0.1)
        #expect(try picture(folder, "logits_channel1_margin.png").width > 200)
        let refused = tomolens(base + ["-c", "1", "--margin", "-l", "features2", "--steps", "2"])
        #expect(refused.code == 2 && refused.errors.contains("a vector, such as the logits"))
    }

    @Test func maximizeRefusesWhatCannotBe() throws {
        let sandbox = try Sandbox()
        for (arguments, words) in [
            (["--channel", "5"], "from 0 to 1"), ([], "--channel"),
            (["-c", "0", "--unit", "1,1"], "a layer with places"),
            (["-c", "0", "--blur", "1"], "--basis voxels"), (["-c", "0", "--range", "2,1"], "LOW below HIGH"),
            (["-c", "0", "-l", "features2", "--unit", "0,0,900"], "a place in"),
        ] {
            let outcome = tomolens(
                ["maximize", sandbox.model.path, "-o", sandbox.root.path, "--size", "16", "--steps", "2"] + arguments)
            #expect(outcome.code != 0 && outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        }
    }

    // MARK: diagnose

    @Test func diagnoseSaysWhatItFindsAndFailsWhereAsked() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan()
        try sandbox.addScan("b.nii.gz", Sandbox.ball(centre: [9, 6, 5]))
        let folder = sandbox.root.appendingPathComponent("d")
        let outcome = tomolens([
            "diagnose", sandbox.model.path, "--input", sandbox.scans.path, "-p", sandbox.pipeline.path, "-o",
            folder.path,
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        for name in ["gradient_flow.png", "activations.png", "channels.png"] {
            #expect(try picture(folder, name).width > 200)
        }
        let report = try json(folder, "diagnosis.json")
        #expect(report["inputs"]!.number == 2)
        #expect(report["layers"]!.array!.count == 5)
        #expect(report["texture"]!["cases"]!.array!.count == 2)
        #expect(report["heat"]!.array!.count == 2)
        #expect(outcome.output.contains("Layers, over 2 inputs"))
        #expect(try lines(folder, "layers.csv").count == 6)

        // Planted: a bias that no input reaches.
        let dead = try Sandbox(network: .brightness(firstBias: [-100, -100]))
        try dead.addScan()
        let failing = tomolens([
            "diagnose", dead.model.path, "-i", dead.scans.path, "-p", dead.pipeline.path, "-o", folder.path, "--check",
        ])
        #expect(failing.code == 8, "\(failing.errors)")
        #expect(failing.output.contains("dead rectifiers") && failing.output.contains("LeakyReLU"))
        let printed = tomolens([
            "diagnose", dead.model.path, "-i", dead.scans.path, "-p", dead.pipeline.path, "-o", folder.path, "--json",
            "--no-probes",
        ])
        let findings = try JSON5Parser.parse(Data(printed.output.utf8), named: "output")["findings"]!.array!
        #expect(findings.contains { $0["kind"]!.text == "dead channels" && $0["severity"]!.text == "severe" })
    }

    // MARK: attack

    @Test func attackStaysWithinItsBounds() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan()
        let folder = sandbox.root.appendingPathComponent("x")
        let base = ["attack", scan.path, "-p", sandbox.pipeline.path, "-o", folder.path, "--method", "gradcam"]
        let outcome = tomolens(base + ["--epsilon", "30", "--sweep", "10,40", "--everywhere"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let report = try json(folder, "a_attack.json")
        #expect(report["unit"]!.text == "HU" && report["attack"]!["largest"]!.number! <= 30.001)
        #expect(report["attack"]!["largest"]!.number! > 29)
        let (before, after) = (report["attack"]!["before"]!.number!, report["attack"]!["after"]!.number!)
        #expect(after < before)
        #expect(report["sweep"]!.array!.count == 2 && report["layers"]!.array!.count >= 4)
        for name in ["a_attack.png", "a_layers.png", "a_sweep.png"] {
            #expect(try picture(folder, name).width > 200)
        }
        let change = try NIfTIFile.read(folder.appendingPathComponent("a_change.nii.gz")).volume
        let changed = try NIfTIFile.read(folder.appendingPathComponent("a_changed.nii.gz")).volume
        let prepared = Sandbox.ball().closestCanonical
        for index in change.voxels.indices {
            #expect(abs(change.voxels[index]) <= 30.001)
            #expect(abs(changed.voxels[index] - prepared.voxels[index] - change.voxels[index]) < 0.02)
        }
        // Only the body: the ball is all there is of it.
        #expect(tomolens(base + ["--epsilon", "30", "--kind", "fgsm", "-q"]).code == 0)
        let inside = try NIfTIFile.read(folder.appendingPathComponent("a_change.nii.gz")).volume
        for index in inside.voxels.indices where prepared.voxels[index] < -300 { #expect(inside.voxels[index] == 0) }
        #expect(inside.voxels.contains { $0 != 0 })
    }

    @Test func attackOnAnImageAndTowardAClass() throws {
        let sandbox = try Sandbox(network: .brightness(rank: 2, channels: 3, size: [32, 32]))
        var picture = Picture(width: 40, height: 32, filledWith: Colour(20, 20, 20))
        for index in picture.pixels.indices where index % 7 == 0 { picture.pixels[index] = 200 }
        let url = sandbox.root.appendingPathComponent("dog.png")
        try picture.writePNG(to: url)
        let folder = sandbox.root.appendingPathComponent("x")
        let outcome = tomolens(["attack", url.path, "-m", sandbox.model.path, "-o", folder.path, "--norm", "l2"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let report = try json(folder, "dog_attack.json")
        #expect(report["unit"]!.text == "grey levels")
        #expect(report["attack"]!["rootMeanSquare"]!.number! <= 4.01)
        let winner = Int(report["attack"]!["class"]!.number!)
        let refused = tomolens([
            "attack", url.path, "-m", sandbox.model.path, "-o", folder.path, "--toward", "\(winner)",
        ])
        #expect(refused.code == 2 && refused.errors.contains("does not win already"))
        let toward = tomolens([
            "attack", url.path, "-m", sandbox.model.path, "-o", folder.path, "--toward", "\(1 - winner)", "-q",
        ])
        #expect(toward.code == 0)
    }

    /// A DenseNet from end to end: every layer's drift is told, through all concatenations.
    @Test func attackADenseNet() throws {
        let root = Fixtures.temporaryFolder("dense")
        let model = Fixtures.reference("explanations/densenet3d.onnx").path
        let folder = root.appendingPathComponent("x")
        let scan = root.appendingPathComponent("a.nii.gz")
        try NIfTIWriter().write(Sandbox.ball(shape: [16, 20, 24], centre: [4, 11, 8]), to: scan)
        let outcome = tomolens([
            "attack", scan.path, "-m", model, "-o", folder.path, "--epsilon", "20", "--sweep", "5,20", "--everywhere",
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let report = try json(folder, "a_attack.json")
        #expect(report["attack"]!["after"]!.number! < report["attack"]!["before"]!.number!)
        #expect(report["attack"]!["largest"]!.number! <= 20.001)
        let layers = report["layers"]!.array!
        #expect(layers.count >= 8)
        let distances = layers.compactMap { $0["relativeL2"]?.number }
        #expect(distances.count == layers.count && distances.allSatisfy { $0 >= 0 } && distances.contains { $0 > 0 })
        // A layer of one place has nothing to be aligned.
        let alignments = layers.compactMap { $0["cka"]?.number }
        #expect(alignments.count >= 6 && alignments.allSatisfy { $0 > -1e-6 && $0 < 1.000001 }, "\(alignments)")
        #expect(report["sweep"]!.array!.count == 2)
    }

    /// A VGG and a ResNet: away from the answer and toward another class, bounded in each voxel and in the mean.
    @Test(arguments: ["vgg3d", "resnet3d"], ["linf", "l2"]) func attackAVGGAndAResNet(_ name: String, _ norm: String)
        throws
    {
        let root = Fixtures.temporaryFolder("attacked")
        let folder = root.appendingPathComponent("x")
        let scan = root.appendingPathComponent("a.nii.gz")
        try NIfTIWriter().write(Sandbox.ball(shape: [16, 20, 24], centre: [4, 11, 8]), to: scan)
        let base = [
            "attack", scan.path, "-m", Fixtures.reference("explanations/\(name).onnx").path, "-o", folder.path,
            "--epsilon", "30", "--norm", norm, "--everywhere",
        ]
        let outcome = tomolens(base)
        #expect(outcome.code == 0, "\(outcome.errors)")
        let away = try json(folder, "a_attack.json")["attack"]!
        #expect(away["after"]!.number! < away["before"]!.number!)
        #expect(away[norm == "l2" ? "rootMeanSquare" : "largest"]!.number! <= 30.001)
        let winner = Int(away["class"]!.number!)
        let targeted = tomolens(base + ["--toward", "\((winner + 1) % 3)"])
        #expect(targeted.code == 0, "\(targeted.errors)")
        let toward = try json(folder, "a_attack.json")
        // The losses are those of the class that is wanted.
        let losses = toward["attack"]!["losses"]!.array!.compactMap(\.number)
        #expect(losses.count > 1 && losses.last! < losses.first!)
        #expect(toward["attack"]![norm == "l2" ? "rootMeanSquare" : "largest"]!.number! <= 30.001)
        let layers = toward["layers"]!.array!
        #expect(layers.count >= 4 && layers.contains { $0["relativeL2"]!.number! > 0 })
    }

    // MARK: embed

    /// A pair of scans through a 2D network: a map over the whole stack of slices, and shares that sum to the cosine.
    @Test func embedExplainsAPairOfStacks() throws {
        let sandbox = try Sandbox(network: .brightness(rank: 2))
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii.gz", Sandbox.ball(centre: [9, 6, 5]))
        let folder = sandbox.root.appendingPathComponent("v")
        let outcome = tomolens([
            "embed", sandbox.scans.path, "-p", sandbox.pipeline.path, "-o", folder.path, "--pair", "a,b",
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        for number in 1...2 {
            #expect(try picture(folder, "pair_a_b_on_\(number).png").width > 200)
            let heat = try NIfTIFile.read(folder.appendingPathComponent("pair_a_b_on_\(number).nii.gz")).volume
            #expect(heat.grid.shape == [16, 16, 12])
            // Every slice has its share.
            let slices = (0..<12).map { k in (0..<256).map { abs(heat.voxels[k * 256 + $0]) }.max()! }
            #expect(slices.allSatisfy { $0 > 0 }, "\(slices)")
        }
    }

    @Test func embedLaysScansOut() throws {
        let sandbox = try Sandbox()
        for (name, centre) in [("a", [4, 11, 8]), ("b", [10, 5, 4]), ("c", [8, 8, 6])] as [(String, [Double])] {
            try sandbox.addScan("\(name).nii.gz", Sandbox.ball(centre: Vector3(centre[0], centre[1], centre[2])))
        }
        try sandbox.addScan("d.nii.gz", Sandbox.ball(radius: 6))
        try sandbox.addScan("e.nii.gz", Sandbox.ball(centre: [8, 8, 6], radius: 6))
        let table = sandbox.root.appendingPathComponent("labels.csv")
        try Data("scan,label\na.nii.gz,small\nb,small\nc,small\nd,large\ne,large\nz,large\n".utf8).write(to: table)
        let folder = sandbox.root.appendingPathComponent("v")
        let base = ["embed", sandbox.scans.path, "-p", sandbox.pipeline.path, "-o", folder.path]
        let outcome = tomolens(base + ["--labels", table.path, "--pair", "a,d", "--neighbours", "2"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("1 labels fit no scan"))
        // Each pair once, and what belongs together yet lies far apart.
        let told = outcome.output.split(separator: "\n").map(String.init)
        let negatives = told.filter { $0.hasPrefix("hardest negative: ") }
        #expect(!negatives.isEmpty && told.contains { $0.hasPrefix("hardest positive: ") }, "\(told)")
        let pairs = negatives.map { line in Set(line.split(separator: " ").filter { $0.count == 1 }) }
        #expect(Set(pairs).count == pairs.count, "\(negatives)")
        for name in ["pca.png", "tsne.png", "similarity.png", "pair_a_d_on_1.png", "pair_a_d_on_2.png"] {
            #expect(try picture(folder, name).width > 200)
        }
        for number in 1...2 {
            // The maps of a pair lie in the whole volume, not in a slice of it.
            let heat = try NIfTIFile.read(folder.appendingPathComponent("pair_a_d_on_\(number).nii.gz")).volume
            let size = heat.grid.shape.x * heat.grid.shape.y
            let slices = (0..<heat.grid.shape.z).filter { k in
                heat.voxels[k * size..<(k + 1) * size].contains { $0 != 0 }
            }
            #expect(slices.count > 3, "\(slices)")
        }
        let vectors = try lines(folder, "embeddings.csv")
        #expect(vectors.count == 6 && vectors[0].last == "v1" && vectors[4][1] == "large")
        #expect(try lines(folder, "neighbours.csv").count == 11)
        let summary = try json(folder, "embedding.json")
        #expect(summary["silhouette"]!.number != nil && summary["vectors"]!.number == 5)
        let copies = tomolens(base + ["--augment", "2", "-q"])
        #expect(copies.code == 0, "\(copies.errors)")
        #expect(try json(folder, "embedding.json")["vectors"]!.number == 15)
        #expect(try json(folder, "embedding.json")["alignment"]!.number! < 0.5)
        for (arguments, words) in [
            (["--pair", "a,nobody"], "a scan of the folder"), (["--labels", sandbox.model.path], "table"),
            (["--pair", "a"], "two scans"),
        ] {
            let refused = tomolens(base + arguments)
            #expect(refused.code == 2 && refused.errors.contains(words), "\(arguments): \(refused.errors)")
            // Before anything is computed.
            #expect(!refused.output.contains("Picture"))
        }
    }

    /// Without a pipeline a label map beside its scan is no scan.
    @Test func labelMapsBesideTheirScansAreLeftOut() throws {
        let sandbox = try Sandbox()
        for name in ["a.nii.gz", "a_mask.nii.gz", "b.nii.gz", "b-seg.nii.gz", "mask.nii.gz"] {
            try sandbox.addScan(name, Sandbox.ball())
        }
        let folder = sandbox.root.appendingPathComponent("v")
        let outcome = tomolens(["embed", sandbox.scans.path, "-m", sandbox.model.path, "-o", folder.path])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try lines(folder, "embeddings.csv").dropFirst().map { $0[0] } == ["a", "b", "mask"])
    }

    /// A folder of images is taken for one without being told so.
    @Test func aFolderOfImagesIsRecognized() throws {
        let sandbox = try Sandbox(network: .brightness(rank: 2, channels: 3, size: [32, 32]))
        let images = sandbox.root.appendingPathComponent("images")
        try FileManager.default.createDirectory(at: images, withIntermediateDirectories: true)
        for (number, name) in ["a", "b", "c"].enumerated() {
            var picture = Picture(width: 40, height: 32, filledWith: Colour(20, 20, 20))
            for index in picture.pixels.indices where index % (5 + number) == 0 { picture.pixels[index] = 200 }
            try picture.writePNG(to: images.appendingPathComponent("\(name).png"))
        }
        let folder = sandbox.root.appendingPathComponent("v")
        let embedded = tomolens(["embed", images.path, "-m", sandbox.model.path, "-o", folder.path])
        #expect(embedded.code == 0, "\(embedded.errors)")
        #expect(try lines(folder, "embeddings.csv").count == 4)
        let diagnosed = tomolens(["diagnose", sandbox.model.path, "--input", images.path, "-o", folder.path])
        #expect(diagnosed.code == 0 && diagnosed.output.contains("over 3 inputs"), "\(diagnosed.errors)")
    }

    // MARK: Shipped files

    @Test func everyShippedPipelineIsRead() throws {
        let folder = Fixtures.root.appendingPathComponent("pipelines")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json5") }
        #expect(names.count >= 7)
        for name in names { _ = try PipelineFile.read(folder.appendingPathComponent(name)) }
    }

    @Test func theGalleryShowsWhatItsScriptDraws() throws {
        func text(_ path: String) throws -> String {
            try String(contentsOf: Fixtures.root.appendingPathComponent(path), encoding: .utf8)
        }
        let page = try text("docs/gallery.md")
        let script = try text("script/gallery")
        let shown = page.matches(of: /images\/gallery\/([a-z0-9-]+)\.png/).map { String($0.1) }
        let drawn = script.matches(of: /(?m)^show ([a-z0-9-]+)\s/).map { String($0.1) }
        #expect(shown.count >= 15 && Set(shown) == Set(drawn))
        for name in shown {
            let url = Fixtures.root.appendingPathComponent("docs/images/gallery/\(name).png")
            #expect(try PictureReader.read(url).width > 200, "\(name)")
        }
    }
}
