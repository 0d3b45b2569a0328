import Foundation
import Volumes

/// Puts a page together from the files in `Page/`, which are compiled into the program.
struct PageTemplate {
    enum Kind { case review, folder }

    let kind: Kind
    let title: String

    /// What a page may do: run its own script and style, show pictures it carries, and nothing over the network.
    ///
    /// `blob:` is for the worker that unpacks volumes. Scripts must be the page's own, by nonce, so that markup that slipped
    /// in with a name could not run.
    private static func policy(nonce: String) -> String {
        "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'unsafe-inline'; img-src data:; worker-src blob:; "
            + "base-uri 'none'; form-action 'none'"
    }

    /// Writes the page: `pieces` stand where the template names them, besides those that the template fills itself.
    func write(
        manifest: [UInt8], pieces: [String: [UInt8]] = [:], data: [PageLayer] = [], to file: inout AtomicFile.Writer
    ) throws {
        let nonce = PageTemplate.fingerprint(manifest)
        var values = pieces
        values["policy"] = Array(PageTemplate.policy(nonce: nonce).utf8)
        values["nonce"] = Array(nonce.utf8)
        values["generator"] = Array("TomoLens".utf8)
        values["title"] = Array(PageText.html(title).utf8)
        values["manifest"] = manifest
        values["style"] = kind == .review ? style(PackageResources.review_css) : style(PackageResources.folder_css)
        values["script"] = kind == .review ? PageTemplate.reviewScript : PageTemplate.folderScript
        let template = kind == .review ? PackageResources.review_html : PackageResources.folder_html
        for part in PageTemplate.split(template) {
            switch part {
            case .bytes(let bytes): try file.write(bytes)
            case .name("data"): for layer in data { try layer.write(to: &file) }
            case .name(let name): try file.write(values[name] ?? [])
            }
        }
    }

    private func style(_ own: [UInt8]) -> [UInt8] { PackageResources.common_css + own }

    static let reviewScript = wrapped([
        PackageResources.words_js, PackageResources.base_js, PackageResources.decode_js, PackageResources.geometry_js,
        PackageResources.heat_js, PackageResources.contours_js, PackageResources.view_js, PackageResources.shaders_js,
        PackageResources.space_js, PackageResources.review_js,
    ])

    static let folderScript = wrapped([
        PackageResources.words_js, PackageResources.base_js, PackageResources.folder_js,
    ])

    /// One scope of its own, strict.
    private static func wrapped(_ files: [[UInt8]]) -> [UInt8] {
        Array("(() => {\n\"use strict\";\n".utf8) + files.flatMap { $0 } + Array("})();\n".utf8)
    }

    private enum Part {
        case bytes([UInt8])
        case name(String)
    }

    /// The template cut at `{{name}}`.
    private static func split(_ template: [UInt8]) -> [Part] {
        var parts: [Part] = []
        var rest = Substring(String(decoding: template, as: UTF8.self))
        while let open = rest.range(of: "{{"), let close = rest[open.upperBound...].range(of: "}}") {
            parts.append(.bytes(Array(rest[..<open.lowerBound].utf8)))
            parts.append(.name(String(rest[open.upperBound..<close.lowerBound])))
            rest = rest[close.upperBound...]
        }
        parts.append(.bytes(Array(rest.utf8)))
        return parts
    }

    /// 64-bit FNV-1a of what the page says, so that the same page has the same bytes.
    private static func fingerprint(_ bytes: [UInt8]) -> String {
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
