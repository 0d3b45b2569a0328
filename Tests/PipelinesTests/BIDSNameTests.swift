import Testing

@testable import Pipelines

@Suite struct BIDSNameTests {
    @Test(arguments: [
        ("sub-01_ct", "sub-01_desc-x_ct"), ("sub-01_ses-2_run-1_T1w", "sub-01_ses-2_run-1_desc-x_T1w"),
        ("sub-01_res-2_desc-old_ct", "sub-01_desc-x_ct"),
    ]) func derivedNames(stem: String, expected: String) throws {
        #expect(try #require(BIDSName(stem: stem)).derived(resolution: nil, description: "x") == expected)
    }

    @Test(arguments: ["ct", "sub-01", "ses-1_ct", "sub_ct", "sub-_ct", "sub-0.1_ct", "sub-01__ct", ""])
    func whatIsNoName(stem: String) { #expect(BIDSName(stem: stem) == nil) }

    @Test(arguments: [
        ("gradcam_class1", "gradcamClass1"), ("gradcam++_class12-2", "gradcamPlusPlusClass122"), ("_tap1", "tap1"),
        ("☃", "map"), ("guided-backprop", "guidedBackprop"),
    ]) func labels(text: String, expected: String) { #expect(BIDSName.label(text) == expected) }
}
