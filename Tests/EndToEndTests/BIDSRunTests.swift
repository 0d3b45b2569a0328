import Foundation
import Pipelines
import Testing

@Suite struct BIDSRunTests {
    /// Content is tested with the BIDS validator (Tests/Viewers).
    @Test func aDatasetBecomesADerivative() throws {
        let sandbox = try Sandbox()
        for name in ["sub-01", "sub-02"] {
            try sandbox.addScan("\(name)_ct.nii.gz", folder: "\(name)/ct")
            try sandbox.addScan("\(name)_T1w.nii.gz", folder: "\(name)/anat")
        }
        func bids(_ more: String...) -> Outcome {
            tomolens(
                ["bids", sandbox.scans.path, sandbox.output.path, "participant", "--pipeline", sandbox.pipeline.path]
                    + more)
        }
        #expect(bids().code == 4, "a folder without dataset_description.json is no dataset")
        try Data("{\"Name\": \"x\", \"BIDSVersion\": \"1.10.0\"}".utf8).write(
            to: sandbox.scans.appendingPathComponent("dataset_description.json"))
        let outcome = bids("--participant-label", "02")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let files = sandbox.outputs().filter { !$0.hasPrefix("tomolens/") }
        #expect(
            files == [
                ".bidsignore", "README.md", "dataset_description.json", "descriptions.json", "descriptions.tsv",
                "sub-02/ct/sub-02_desc-gradcamClass1_ct.json", "sub-02/ct/sub-02_desc-gradcamClass1_ct.nii.gz",
                "sub-02/ct/sub-02_res-tap_desc-gradcamClass1_ct.json",
                "sub-02/ct/sub-02_res-tap_desc-gradcamClass1_ct.nii.gz",
            ])
        #expect(
            try sandbox.content("sub-02/ct/sub-02_desc-gradcamClass1_ct.nii.gz")
                == sandbox.content("tomolens/sub-02__ct__sub-02_ct/sub-02__ct__sub-02_ct_gradcam_class1.nii.gz"))
        #expect(bids().errors.contains("1 done, 1 unchanged"))
        let wrong = bids("--participant-label", "3")
        #expect(wrong.code == 2 && wrong.errors.contains("a participant of the dataset"))
        #expect(bids("--suffix", "bold").errors.contains("--suffix"))
    }
}
