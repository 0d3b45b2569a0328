import Foundation

/// Text from the world (file names, headers, labels, messages) on its way into a page.
enum PageText {
    /// The text with what would act instead of being read made visible: control characters, and the marks that turn the
    /// direction of writing around (U+202E shows "gpj.exe" as "exe.jpg").
    static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: acts) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if acts(scalar) {
                let code = String(scalar.value, radix: 16, uppercase: true)
                result.append(
                    contentsOf: "⟨U+\(String(repeating: "0", count: max(0, 4 - code.count)))\(code)⟩".unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func acts(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0a, 0x09: false
        case 0..<0x20, 0x7f..<0xa0: true
        case 0x061c, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff, 0xfff9...0xfffb: true
        case 0xe0000...0xe007f: true
        default: false
        }
    }

    /// The text as HTML shows it: nothing in it is markup.
    static func html(_ text: String) -> String {
        var result = ""
        for character in visible(text).unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// JSON that cannot end the `<script>` element it stands in: `<`, `>`, `&`, U+2028 and U+2029 only occur within JSON
    /// strings, where an escape means the same.
    static func json(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "∞", negativeInfinity: "−∞", nan: "not a number")
        // The manifests hold strings, numbers and arrays of them: nothing that could fail to encode.
        let plain = [UInt8](try! encoder.encode(value))
        var result: [UInt8] = []
        result.reserveCapacity(plain.count + plain.count / 64)
        var index = 0
        while index < plain.count {
            let byte = plain[index]
            switch byte {
            case UInt8(ascii: "<"): result += Array("\\u003c".utf8)
            case UInt8(ascii: ">"): result += Array("\\u003e".utf8)
            case UInt8(ascii: "&"): result += Array("\\u0026".utf8)
            case 0xe2 where index + 2 < plain.count && plain[index + 1] == 0x80 && plain[index + 2] & 0xfe == 0xa8:
                result += Array((plain[index + 2] == 0xa8 ? "\\u2028" : "\\u2029").utf8)
                index += 2
            default: result.append(byte)
            }
            index += 1
        }
        return result
    }

    /// A relative address of `path` that no browser takes for anything else: components are percent-encoded, and it
    /// starts with `./` or `../`.
    static func address(_ path: String) -> String {
        let kept = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+,@")
        let components = path.split(separator: "/").filter { $0 != "." }.map {
            String($0).addingPercentEncoding(withAllowedCharacters: kept)!
        }
        let joined = components.joined(separator: "/")
        return joined.hasPrefix("../") ? joined : "./" + joined
    }
}
