import Foundation
import Rendering
import Volumes

/// The FSLeyes command line, as a script that can be started from anywhere.
struct FSLeyesCommand {
    let scene: ViewerScene
    let folder: URL

    init(_ scene: ViewerScene, folder: URL) {
        self.scene = scene
        self.folder = folder
    }

    func text() -> String {
        let range = ["\(scene.threshold)", "\(max(scene.top, scene.threshold + .leastNormalMagnitude))"]
        var words = ["fsleyes", path(scene.scanFile), "-n", PageText.visible(scene.name), "-cm", "greyscale"]
        words += ["-dr", "\(scene.window.lower)", "\(scene.window.upper)"]
        words += [path(scene.heatFile), "-n", "\(PageText.visible(scene.name)) heat", "-cm", colourMap, "-dr"] + range
        // Clipping hides what lies below its lower end; nothing is to be hidden above.
        words += ["-cr", range[0], "\(max(scene.top, Float(ViewerScene.range(scene.heat).upperBound)))"]
        if scene.scale.isSigned { words += ["-un", "-nc", "blue-lightblue"] }
        words += ["-a", "\(Int((scene.style.alpha.opacity * 100).rounded()))", "-in", "linear"]
        return """
            #!/bin/sh
            # Opens the scan with its heat in FSLeyes: sh THIS_FILE
            cd "$(dirname "$0")" || exit 1
            exec \(words.map(FSLeyesCommand.quoted).joined(separator: " "))

            """
    }

    /// With `./` in front, so that no name is taken for an option.
    private func path(_ file: URL) -> String { "./" + RelativePath.of(file, from: folder) }

    private var colourMap: String {
        switch scene.colourMap {
        case .viridis, .inferno, .magma, .plasma, .turbo: scene.colourMap.rawValue
        case .jet: "turbo"
        case .hot: "hot"
        case .gray: "greyscale"
        case .diverging: "red-yellow"
        }
    }

    /// One word for any POSIX shell.
    static func quoted(_ word: String) -> String {
        let isPlain = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "./_-+,:@%".utf8.contains(byte)
            }
        }
        return isPlain && !word.isEmpty ? word : "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }
}
