import Failures
import Foundation
import Rendering
import Volumes

/// A NiiVue document (.nvd): the scan and its heat with their files inside, and a page that shows it.
struct NiiVueDocument {
    private struct Image: Encodable {
        let name: String
        let colormap: String
        let colormapNegative: String
        let opacity: Double
        let calMin: Float
        let calMax: Float
        let useQFormNotSForm = false
        let trustCalMinMax = true
        let visible = true
        let colorbarVisible: Bool

        // As the document spells them.
        enum CodingKeys: String, CodingKey {
            case name, colormap, colormapNegative, opacity, useQFormNotSForm, trustCalMinMax, visible, colorbarVisible
            case calMin = "cal_min"
            case calMax = "cal_max"
        }
    }

    private struct Document: Encodable {
        struct Options: Encodable {
            let isRadiologicalConvention: Bool
            let isColorbar = true
            let show3Dcrosshair = true
            let multiplanarShowRender = 1
        }

        let title: String
        let imageOptionsArray: [Image]
        let encodedImageBlobs: [String]
        let encodedDrawingBlob = ""
        let opts: Options
    }

    let bytes: [UInt8]

    init(_ scene: ViewerScene) throws {
        let scale = scene.scale
        let images = [
            Image(
                name: NiiVueDocument.name(scene.scanFile), colormap: "gray", colormapNegative: "", opacity: 1,
                calMin: scene.window.lower, calMax: scene.window.upper, colorbarVisible: false),
            // What lies below cal_min is not shown. On signed maps NiiVue colours negative values by a map of their own.
            Image(
                name: NiiVueDocument.name(scene.heatFile),
                colormap: scale.isSigned ? "warm" : NiiVueDocument.map(scene.colourMap),
                colormapNegative: scale.isSigned ? "winter" : "", opacity: scene.style.alpha.opacity,
                calMin: scene.threshold, calMax: scene.top, colorbarVisible: true),
        ]
        let document = Document(
            title: PageText.visible(scene.name), imageOptionsArray: images,
            encodedImageBlobs: try [scene.scanFile, scene.heatFile].map { file in
                guard let data = try? Data(contentsOf: file) else {
                    throw Failure(
                        .output, file.path, expected: "a readable file for the NiiVue document", found: "none")
                }
                return data.base64EncodedString()
            }, opts: Document.Options(isRadiologicalConvention: scene.style.isRadiological))
        bytes = PageText.json(document)
    }

    /// NiiVue recognises formats by the ending.
    private static func name(_ file: URL) -> String { PageText.visible(file.lastPathComponent) }

    private static func map(_ map: ColourMap) -> String { map == .diverging ? "warm" : map.rawValue }

    /// A page that opens the document with a copy of NiiVue that lies beside it or is chosen from the disk; it loads nothing
    /// else.
    func writePage(title: String, to url: URL) throws {
        try AtomicFile.write(to: url) { file in
            try PageTemplate(kind: .niivue, title: title).write(manifest: bytes, to: &file)
        }
    }
}
