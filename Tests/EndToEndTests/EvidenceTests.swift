import Foundation
import Pipelines
import TestSupport
import Testing
import Volumes

/// What a label map adds: the evidence table in results.json, as CSV and in words, and its regions as parts that methods hide.
@Suite struct EvidenceTests {
    private func sandbox() throws -> Sandbox {
        let sandbox = try Sandbox()
        let scan = Sandbox.ball()
        try sandbox.addScan("a.nii.gz", scan)
        var mask = Volume(grid: scan.grid, repeating: 0)
        for index in mask.voxels.indices where scan.voxels[index] == 300 { mask.voxels[index] = 2 }
        for index in 0..<20 { mask.voxels[index] = 5 }
        try sandbox.addScan("a_mask.nii.gz", mask)
        return sandbox
    }

    @Test func theTableIsWrittenAndSaid() throws {
        let sandbox = try sandbox()
        #expect(sandbox.run().code == 0)
        let map = try #require(try sandbox.json("a/results.json")["maps"]?.array?.first)
        let regions = try #require(map["evidence"]?["regions"]?.array)
        #expect(regions.map { $0["label"]?.number } == [2, 5, nil])
        let (share, ml) = (regions[0]["share"]!.number!, regions[0]["ml"]!.number!)
        #expect(share > 0.2 && abs(regions[0]["sharePerMl"]!.number! - share / ml) < 1e-4)
        #expect(regions[0]["dice"]!.array!.count == 9)
        #expect(regions[2]["label"]?.text == "all")
        let table = String(decoding: try sandbox.content("evidence.csv"), as: UTF8.self).split(separator: "\n")
        #expect(table.count == 4)
        #expect(table[0].hasPrefix("scan,name,method,target,label,voxels,ml,mass,share,"))
        #expect(table[1].hasPrefix("a.nii.gz,a,gradcam,bright (1),2,"))

        let outcome = tomolens([
            "explain", sandbox.scans.appendingPathComponent("a.nii.gz").path, "--pipeline", sandbox.pipeline.path,
            "--labels", sandbox.scans.appendingPathComponent("a_mask.nii.gz").path,
            "--output", sandbox.root.appendingPathComponent("one").path,
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("of the heat for bright (1) lies in label 2"))
    }

    @Test func labelsArePartsToHide() throws {
        let sandbox = try sandbox()
        let one = sandbox.root.appendingPathComponent("one")
        let outcome = tomolens([
            "explain", sandbox.scans.appendingPathComponent("a.nii.gz").path, "--pipeline", sandbox.pipeline.path,
            "--labels", sandbox.scans.appendingPathComponent("a_mask.nii.gz").path, "--output", one.path,
            "--method", "kernelshap:segments=labels", "--method", "feature-ablation:segments=labels", "--no-overlays",
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("completeness residual"))
        let csv = try String(
            contentsOf: one.appendingPathComponent("a_kernelshap_class1_segments.csv"), encoding: .utf8)
        let lines = csv.split(separator: "\n").map { $0.split(separator: ",").map(String.init) }
        #expect(lines[0] == ["segment", "voxels", "value", "standard error"])
        #expect(lines.dropFirst().map { $0[0] } == ["0", "2", "5"])
        // The ball is bright and the network answers to brightness.
        #expect(Double(lines[2][2])! > abs(Double(lines[3][2])!))
    }

    @Test func aPipelineHidesPartsToo() throws {
        let methods = """
            [{ method: "shapley-sampling", segments: "labels", orders: 4 }, { method: "lime", count: 5, samples: 40 },
             "deeplift", { method: "lrp", rule: "gamma" }, "cam"]
            """
        let sandbox = try Sandbox(
            pipeline: Sandbox.standardPipeline.replacing("[\"gradcam\"]", with: methods))
        let scan = Sandbox.ball()
        try sandbox.addScan("a.nii.gz", scan)
        var mask = Volume(grid: scan.grid, repeating: 0)
        for index in mask.voxels.indices where scan.voxels[index] == 300 { mask.voxels[index] = 2 }
        try sandbox.addScan("a_mask.nii.gz", mask)
        let outcome = sandbox.run()
        #expect(outcome.code == 0, "\(outcome.errors)")
        let maps = try #require(try sandbox.json("a/results.json")["maps"]?.array)
        #expect(maps.map { $0["method"]?.text } == ["shapley-sampling", "lime", "deeplift", "lrp", "cam"])
        #expect(maps[0]["figures"]?["segments"]?.number == 2)
        #expect(sandbox.outputs().contains("a/a_lime_class1_segments.csv"))
    }

    @Test func aBestSoFarIsWrittenAndNotTakenForDone() throws {
        let sandbox = try sandbox()
        let one = sandbox.root.appendingPathComponent("one")
        let outcome = StopRequest.stopping {
            tomolens(
                [
                    "explain", sandbox.scans.appendingPathComponent("a.nii.gz").path, "--pipeline",
                    sandbox.pipeline.path, "--output", one.path, "--method", "rise:masks=100000", "--no-overlays",
                ], stop: $0)
        }
        #expect(outcome.code == 130)
        #expect(outcome.errors.contains("The best so far was written"))
        let results = try JSON5Parser.parse(
            Data(contentsOf: one.appendingPathComponent("results.json")), named: "results.json")
        let notes = (results["maps"]?.array?.first?["notes"]?.array ?? []).compactMap(\.text)
        #expect(notes.contains { $0.contains("a stop was asked for") })
        #expect(FileManager.default.fileExists(atPath: one.appendingPathComponent("a_rise_class1.nii.gz").path))
        let ledger = try String(contentsOf: one.appendingPathComponent("ledger.json"), encoding: .utf8)
        #expect(ledger.contains("stopped early"))
    }

    /// A folder's scan that is stopped while it samples has its best so far, is no scan that is done, and is done again.
    @Test func aStoppedScanOfAFolderIsPartial() throws {
        let sandbox = try Sandbox(
            pipeline: Sandbox.standardPipeline.replacing(
                "[\"gradcam\"]", with: "[{ method: \"rise\", masks: 100000 }]"))
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii.gz")
        let outcome = StopRequest.stopping { sandbox.run(stop: $0) }
        #expect(outcome.code == 130, "\(outcome.errors)")
        #expect(outcome.errors.contains("partial") && outcome.errors.contains("0 done, 2 not done"))
        let summary = try sandbox.json("summary.json")
        #expect(summary["done"]?.number == 0 && summary["notDone"]?.number == 2)
        let scans = try #require(summary["scans"]?.array)
        // Scans are prepared side by side: whichever was ready first has the network when the stop comes.
        let status = scans.map { $0["status"]?.text ?? "" }
        #expect(status.sorted() == ["not done", "partial"])
        let partial = try #require(status.firstIndex(of: "partial"))
        #expect(scans[partial]["problem"]?.text?.contains("the best so far was written") == true)
        #expect(scans[partial]["results"]?["maps"]?.array?.count == 1)
        let (begun, other) = partial == 0 ? ("a", "b") : ("b", "a")
        let table = String(decoding: try sandbox.content("summary.csv"), as: UTF8.self)
        #expect(table.contains("\(begun).nii.gz,\(begun),partial"))
        #expect(table.contains("\(other).nii.gz,\(other),not done"))
        #expect(sandbox.outputs().contains("\(begun)/\(begun)_rise_class1.nii.gz"))
    }

    /// A 2D network's stack that is stopped keeps the slices that were done.
    @Test func aStoppedStackKeepsItsSlices() throws {
        let sandbox = try Sandbox(
            network: .brightness(rank: 2),
            pipeline: Sandbox.standardPipeline.replacing(
                "[\"gradcam\"]", with: "[{ method: \"rise\", masks: 100000 }]"))
        try sandbox.addScan("a.nii.gz")
        let outcome = StopRequest.stopping { sandbox.run(stop: $0) }
        #expect(outcome.code == 130, "\(outcome.errors)")
        let results = try sandbox.json("a/results.json")
        let warnings = (results["warnings"]?.array ?? []).compactMap(\.text)
        #expect(warnings.contains { $0.contains("ended in slice") && $0.contains("heat in slices after it is 0") })
        let heat = try NIfTIFile.read(sandbox.output.appendingPathComponent("a/a_rise_class1.nii.gz")).volume
        let slices = (0..<12).map { k in (0..<256).contains { heat.voxels[k * 256 + $0] != 0 } }
        #expect(slices.contains(true) && slices.contains(false))
        #expect(slices.last == false)
    }

    /// Expected gradients from real scans: from the command line and from a pipeline, and refused where they do not fit.
    @Test func expectedGradientsFromAFolderOfScans() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan("a.nii.gz")
        let others = sandbox.root.appendingPathComponent("others")
        for number in 0..<3 {
            try sandbox.addScan(
                "o\(number).nii.gz", Sandbox.ball(centre: Vector3(Double(4 + 3 * number), 6, 5)), folder: "../others")
        }
        let one = sandbox.root.appendingPathComponent("one")
        let base = [
            "explain", scan.path, "-p", sandbox.pipeline.path, "-o", one.path, "--no-overlays", "--no-page", "--method",
            "expected-gradients:references=scans:samples=60",
        ]
        let outcome = tomolens(base + ["--references", others.path])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let results = try JSON5Parser.parse(
            Data(contentsOf: one.appendingPathComponent("results.json")), named: "results.json")
        let figures = try #require(results["maps"]?.array?[0]["figures"])
        let residual = try #require(figures["completeness residual"]?.number)
        let error = try #require(figures["standard error of the residual"]?.number)
        #expect(abs(residual) < 5 * error + 1e-6)
        // 60 points on paths from three scans, each asked once for its own score.
        #expect(figures["evaluations"]?.number == 63)
        let without = tomolens(base)
        #expect(without.code == 2 && without.errors.contains("--references"))
        try sandbox.addScan("odd.nii.gz", Sandbox.ball(shape: [10, 16, 12]), folder: "../others")
        let odd = tomolens(base + ["--references", others.path])
        #expect(odd.code == 2 && odd.errors.contains("Give all scans one size"))
        #expect(tomolens(base + ["--references", "/nowhere/at/all"]).code == 2)
        let text = Sandbox.standardPipeline
            .replacing("{ labels:", with: "{ references: \"others/o1.nii.gz\", labels:")
            .replacing("[\"gradcam\"]", with: "[{ method: \"expected-gradients\", references: \"scans\", samples: 4 }]")
        try Data(text.utf8).write(to: sandbox.pipeline)
        #expect(sandbox.run().code == 0)
        #expect(try sandbox.json("a/results.json")["maps"]?.array?[0]["figures"]?["evaluations"]?.number == 5)
    }

    /// A NumPy array as NumPy reads it: magic, version, a header that ends on a multiple of 64, floats in C order.
    @Test func attentionMatricesAreWritten() throws {
        let root = Fixtures.temporaryFolder("attention")
        let scan = root.appendingPathComponent("a.nii.gz")
        try NIfTIWriter().write(Sandbox.ball(shape: [16, 20, 24], centre: [4, 11, 8]), to: scan)
        let one = root.appendingPathComponent("one")
        let outcome = tomolens([
            "explain", scan.path, "--model", Fixtures.reference("explanations/vit3d.onnx").path, "--output", one.path,
            "--method", "attention:head=2,attention-rollout,attention-gradient", "--no-overlays",
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: one.path)
        let arrays = names.filter { $0.hasSuffix(".npy") }
        #expect(arrays.count == 3 && names.filter { $0.hasSuffix(".png") }.count == 3, "\(names.sorted())")
        let data = try Data(contentsOf: one.appendingPathComponent(try #require(arrays.first { $0.contains("head2") })))
        #expect(Array(data.prefix(8)) == [0x93] + Array("NUMPY".utf8) + [1, 0])
        let length = Int(data[8]) + 256 * Int(data[9])
        #expect((10 + length) % 64 == 0)
        let header = String(decoding: data[10..<10 + length], as: UTF8.self)
        #expect(header.contains("'descr': '<f4', 'fortran_order': False, 'shape': (120, 120)"))
        #expect(data.count == 10 + length + 4 * 120 * 120)
    }
}

extension StopRequest {
    /// What a command says that is stopped while it samples. On a busy machine it may not have begun when it is asked to stop;
    /// then it gets more time.
    fileprivate static func stopping(_ run: (StopRequest) -> Outcome) -> Outcome {
        var outcome = run(made(after: 0.5))
        // Neither before the first evaluation nor after the last, however busy the processors are.
        for seconds in [1.0, 2, 4, 8, 16] where !outcome.errors.contains("best so far") {
            outcome = run(made(after: seconds))
        }
        return outcome
    }

    /// A request that is made so many seconds from now.
    fileprivate static func made(after seconds: Double) -> StopRequest {
        let stop = StopRequest()
        Thread {
            Thread.sleep(forTimeInterval: seconds)
            stop.make()
        }.start()
        return stop
    }
}
