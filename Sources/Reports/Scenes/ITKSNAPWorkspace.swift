import Foundation
import Rendering
import Volumes

/// An ITK-SNAP workspace: the scan as main image, the heat as an overlay above it.
///
/// ITK-SNAP writes absolute paths and the place the workspace was saved at, and follows the way between the two when the
/// workspace has moved. Here that place is made up, so that the workspace always "has moved" and the way is all that counts.
struct ITKSNAPWorkspace {
    let scene: ViewerScene
    let folder: URL

    init(_ scene: ViewerScene, folder: URL) {
        self.scene = scene
        self.folder = folder
    }

    func text() throws -> String {
        let ways = [scene.scanFile, scene.heatFile].map { RelativePath.of($0, from: folder) }
        let depth = ways.map { $0.split(separator: "/").prefix { $0 == ".." }.count }.max()!
        let saved = ["tomolens"] + (0..<depth).map { "folder\($0)" }
        func path(_ way: String) throws -> String {
            let parts = way.split(separator: "/")
            let up = parts.prefix { $0 == ".." }.count
            return try XML.attribute(
                "/" + (saved.dropLast(up) + parts.dropFirst(up).map(String.init)).joined(separator: "/"))
        }
        let scanRange = ViewerScene.range(scene.scan)
        let heatRange = ViewerScene.range(scene.heat)
        let lower = scene.scale.isSigned ? -Double(scene.top) : 0
        let scan = layer(
            0, path: try path(ways[0]), role: "MainRole", alpha: "255", sticky: 0, preset: "Grayscale",
            curve: curve(Double(scene.window.lower)...Double(scene.window.upper), in: scanRange), name: scene.name)
        let heat = layer(
            1, path: try path(ways[1]), role: "OverlayRole", alpha: "\(scene.style.alpha.opacity)", sticky: 1,
            preset: preset,
            curve: curve(lower...Double(scene.top), in: heatRange), name: "\(scene.name) heat")
        return """
            <?xml version="1.0" encoding="UTF-8" ?>
            <!DOCTYPE registry [
            <!ELEMENT registry (entry*,folder*)>
            <!ELEMENT folder (entry*,folder*)>
            <!ELEMENT entry EMPTY>
            <!ATTLIST folder key CDATA #REQUIRED>
            <!ATTLIST entry key CDATA #REQUIRED>
            <!ATTLIST entry value CDATA #REQUIRED>
            ]>
            <registry>
              <entry key="SaveLocation" value="/\(saved.joined(separator: "/"))" />
              <entry key="Version" value="20151215" />
              <folder key="Layers" >
            \(try scan())
            \(try heat())
              </folder>
            </registry>

            """
    }

    /// The colour maps that ITK-SNAP has; the nearest where it has none of the name.
    private var preset: String {
        switch scene.colourMap {
        case .viridis, .turbo, .jet: "Jet"
        case .inferno, .magma, .plasma, .hot: "Hot"
        case .diverging: "Blue to white to red"
        case .gray: "Grayscale"
        }
    }

    /// Three points of the contrast curve: where in the image's range (0…1) black, middle and white lie.
    private func curve(_ shown: ClosedRange<Double>, in range: ClosedRange<Double>) -> [Double] {
        let width = max(range.upperBound - range.lowerBound, 1e-30)
        let low = max(0, min(0.999, (shown.lowerBound - range.lowerBound) / width))
        let high = max(low + 0.001, min(1, (shown.upperBound - range.lowerBound) / width))
        return [low, (low + high) / 2, high]
    }

    private func layer(
        _ number: Int, path: String, role: String, alpha: String, sticky: Int, preset: String, curve: [Double],
        name: String
    ) -> () throws -> String {
        let points = curve.enumerated().map { index, place in
            """
                        <folder key="ControlPoint[\(index)]" >
                          <entry key="tValue" value="\(place)" />
                          <entry key="xValue" value="\(Double(index) / 2)" />
                        </folder>
            """
        }
        return {
            """
                <folder key="Layer[00\(number)]" >
                  <entry key="AbsolutePath" value="\(path)" />
                  <entry key="Role" value="\(role)" />
                  <entry key="Tags" value="" />
                  <folder key="LayerMetaData" >
                    <entry key="Alpha" value="\(alpha)" />
                    <entry key="CustomNickName" value="\(try XML.attribute(PageText.visible(name)))" />
                    <entry key="Sticky" value="\(sticky)" />
                    <entry key="Tags" value="" />
                    <folder key="DisplayMapping" >
                      <folder key="ColorMap" >
                        <entry key="Preset" value="\(preset)" />
                      </folder>
                      <folder key="Curve" >
                        <entry key="NumberOfControlPoints" value="3" />
            \(points.joined(separator: "\n"))
                      </folder>
                    </folder>
                  </folder>
                </folder>
            """
        }
    }
}
