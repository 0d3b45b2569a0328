import Foundation
import Volumes

/// Puts a page together from the files in `Page/`, which are compiled into the program.
struct PageTemplate {
    enum Kind { case review, folder, niivue }

    let kind: Kind
    let title: String

    /// What a page may do: run its own script and style, show pictures it carries, and nothing over the network.
    ///
    /// `blob:` is for the worker that unpacks volumes. Scripts must be the page's own, by nonce, so that markup that slipped
    /// in with a name could not run.
    private func policy(nonce: String) -> String {
        let common =
            "default-src 'none'; style-src 'unsafe-inline'; worker-src blob:; base-uri 'none'; form-action 'none'; "
        switch kind {
        case .review, .folder: return common + "script-src 'nonce-\(nonce)'; img-src data:"
        // NiiVue comes as a module from beside the page or from the disk, and reads fonts and matcaps that it carries.
        case .niivue:
            return common + "script-src 'nonce-\(nonce)' 'self' blob: 'wasm-unsafe-eval'; img-src data: blob:; "
                + "connect-src data: blob:"
        }
    }

    /// Writes the page: `pieces` stand where the template names them, besides those that the template fills itself.
    func write(
        manifest: [UInt8], pieces: [String: [UInt8]] = [:], data: [PageLayer] = [], to file: inout AtomicFile.Writer
    ) throws {
        let nonce = PageTemplate.fingerprint(manifest)
        var values = pieces
        values["policy"] = Array(policy(nonce: nonce).utf8)
        values["nonce"] = Array(nonce.utf8)
        values["generator"] = Array("TomoLens".utf8)
        values["title"] = Array(PageText.html(title).utf8)
        values["manifest"] = manifest
        let template: [UInt8]
        switch kind {
        case .review:
            template = PackageResources.review_html
            values["style"] = PackageResources.common_css + PackageResources.review_css
            values["script"] = PageTemplate.reviewScript
        case .folder:
            template = PackageResources.folder_html
            values["style"] = PackageResources.common_css + PackageResources.folder_css
            values["script"] = PageTemplate.folderScript
        case .niivue:
            template = PackageResources.niivue_html
            values["style"] = PackageResources.common_css
            values["script"] = PackageResources.niivue_js
        }
        for part in PageTemplate.split(template) {
            switch part {
            case .bytes(let bytes): try file.write(bytes)
            case .name("data"): for layer in data { try layer.write(to: &file) }
            case .name(let name): try file.write(values[name] ?? [])
            }
        }
    }

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
