import Failures
import Testing

@Suite struct NearestTests {
    @Test func findsASlipOfTheKeyboard() {
        #expect(Nearest.match("inspcet", in: ["run", "inspect", "explain"]) == "inspect")
        #expect(Nearest.match("grad_cam", in: ["gradcam", "hirescam"]) == "gradcam")
    }

    @Test func offersNothingFarAway() {
        #expect(Nearest.match("zebra", in: ["run", "inspect"]) == nil)
    }

    @Test func aFailureAnswersFourQuestionsInOneLine() {
        let failure = Failure(.scan, "a.nii", expected: "348 or 540", found: "7", remedy: "Convert the file again.")
        #expect(failure.description == "a.nii: expected 348 or 540, found 7. Convert the file again.")
    }
}
