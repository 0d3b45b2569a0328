import Failures
import Foundation
import Testing

@testable import Pipelines

private func parse(_ text: String) throws -> JSON { try JSON5Parser.parse(Data(text.utf8), named: "p.json5") }

@Suite struct JSON5Tests {
    @Test func everythingJSON5Adds() throws {
        let value = try parse(
            """
            // a comment
            {
              bare: 'single', "quoted": "double \\u00e9 \\x41 \\ud83d\\ude00", /* inside */
              numbers: [1, -2.5, +3, .5, 5., 0x1F, 1e3, -0],
              flags: [true, false, null,],
              nested: {a: {b: []},},
              'line\\
            continued': 'x',
            }
            """)
        #expect(value["bare"] == .text("single"))
        #expect(value["quoted"] == .text("double é A 😀"))
        #expect(value["numbers"] == .numbers([1, -2.5, 3, 0.5, 5, 31, 1000, 0]))
        #expect(value["flags"] == .array([.bool(true), .bool(false), .null]))
        #expect(value["nested"]?["a"]?["b"] == .array([]))
        #expect(value["linecontinued"] == .text("x"))
        #expect(value["nested"]?.line == 6)
        #expect(value.members?.map(\.key) == ["bare", "quoted", "numbers", "flags", "nested", "linecontinued"])
    }

    /// Foundation reads JSON5 too: both must see the same values.
    @Test(arguments: [
        "[1, 2.5, -3e-2, .5, 0xff]", "{a: 1, 'b': [true, null], \"c\": {d: 'e\\n'}}", "'plain'", "[[[]], {}]",
        "[\"\\t\\b\\f\\/\", 'it\\'s']",
    ]) func agreesWithFoundation(text: String) throws {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        let theirs = try decoder.decode(Decoded.self, from: Data(text.utf8)).json
        #expect(sorted(try parse(text)) == sorted(theirs))
    }

    /// Foundation's decoder keeps no order of keys.
    private func sorted(_ json: JSON) -> JSON {
        switch json.content {
        case .array(let values): return .array(values.map(sorted))
        case .object(let members):
            return .object(members.sorted { $0.key < $1.key }.map { ($0.key, sorted($0.value)) })
        default: return json
        }
    }

    private struct Decoded: Decodable {
        let json: JSON

        private struct Key: CodingKey {
            var stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            if let keyed = try? decoder.container(keyedBy: Key.self) {
                json = .object(
                    try keyed.allKeys.map { ($0.stringValue, try keyed.decode(Decoded.self, forKey: $0).json) })
                return
            }
            if var list = try? decoder.unkeyedContainer() {
                var values: [JSON] = []
                while !list.isAtEnd { values.append(try list.decode(Decoded.self).json) }
                json = .array(values)
                return
            }
            let single = try decoder.singleValueContainer()
            if single.decodeNil() {
                json = .null
            } else if let value = try? single.decode(Bool.self) {
                json = .bool(value)
            } else if let value = try? single.decode(Double.self) {
                json = .number(value)
            } else {
                json = .text(try single.decode(String.self))
            }
        }
    }

    @Test(arguments: [
        (
            "",
            "p.json5, line 1, column 1: expected a value (text in quotes, a number, true, false, null, a list or an object), found the end of the file."
        ),
        ("{a: 1", "p.json5, line 1, column 6: expected ',' or '}' after the value of 'a', found the end of the file."),
        ("{\n  a: 1\n  b: 2\n}", "p.json5, line 3, column 3: expected ',' or '}' after the value of 'a', found 'b'."),
        ("{a 1}", "p.json5, line 1, column 4: expected ':' after the key 'a', found '1'."),
        ("{a: 1, a: 2}", "p.json5, line 1, column 8: expected every key once, found 'a' again, first on line 1."),
        (
            "{a: bilinear}",
            "p.json5, line 1, column 5: expected a value (text in quotes, a number, true, false, null, a list or an object), found the word 'bilinear'. Text needs quotes: \"bilinear\"."
        ),
        (
            "{a: 'x}",
            "p.json5, line 1, column 5: expected text that ends with the quote it began with, found text that does not end."
        ),
        ("{a: NaN}", "p.json5, line 1, column 5: expected a finite number, found NaN."),
        ("{a: -Infinity}", "p.json5, line 1, column 5: expected a finite number, found '-Infinity'."),
        ("{a: 1e999}", "p.json5, line 1, column 5: expected a finite number, found '1e999'."),
        ("{a: 1.2.3}", "p.json5, line 1, column 5: expected a number, found '1.2.3'."),
        ("{a: --1}", "p.json5, line 1, column 5: expected a number, found '--1'."),
        (
            "{a: /* open",
            "p.json5, line 1, column 5: expected a comment that ends with */, found one that does not end."
        ),
        ("[1 2]", "p.json5, line 1, column 4: expected ',' or ']' in the list, found '2'."),
        (
            "{} {}",
            "p.json5, line 1, column 4: expected the end of the file, found '{'. One value makes the whole file."
        ),
        ("{a: '\\ud800'}", "p.json5, line 1, column 12: expected a Unicode scalar, found half of a surrogate pair."),
        ("{a: '\\u12'}", "p.json5, line 1, column 8: expected 4 hexadecimal digits, found '1'."),
        ("{: 1}", "p.json5, line 1, column 2: expected a key or '}', found ':'."),
    ]) func mistakesHaveLineAndColumn(text: String, message: String) {
        do {
            _ = try parse(text)
            Issue.record("accepted \(text)")
        } catch let failure as Failure {
            #expect(failure.description == message)
        } catch { Issue.record(error) }
    }

    @Test func absurdNestingIsRefused() {
        #expect(throws: Failure.self) { try parse(String(repeating: "[", count: 100_000)) }
    }

    @Test func bytesThatAreNotTextAreRefused() {
        #expect(throws: Failure.self) { try JSON5Parser.parse(Data([0x1F, 0x8B, 0xFF, 0xFE]), named: "x") }
    }

    /// No prefix and no single changed byte of a good file may do anything but parse or throw a Failure.
    @Test func damagedFilesNeverCrash() {
        let text = Array("{a: [1, 'x\\u0041', {b: 0x1f}], /* c */ d: null, // e\n}".utf8)
        for length in 0...text.count { _ = try? JSON5Parser.parse(Data(text[..<length]), named: "x") }
        for place in text.indices {
            for byte: UInt8 in [0, 0x22, 0x27, 0x5C, 0x7B, 0x7D, 0x2C, 0x2D, 0xC2, 0xE2, 0xFF] {
                var copy = text
                copy[place] = byte
                _ = try? JSON5Parser.parse(Data(copy), named: "x")
            }
        }
    }
}

@Suite struct JSONWritingTests {
    @Test func writesOneWayOnly() {
        let value = JSON.object([
            ("b", .number(1)), ("a", .numbers([1.5, -2])), ("text", .text("a\"\\\n\u{1}\u{2028}<é")), ("none", .null),
            ("list", .array([.object([("x", .bool(true))])])), ("empty", .object([])),
        ])
        #expect(
            value.serialized() == """
                {
                  "b": 1,
                  "a": [1.5, -2],
                  "text": "a\\"\\\\\\n\\u0001\\u2028<é",
                  "none": null,
                  "list": [
                    {
                      "x": true
                    }
                  ],
                  "empty": {}
                }

                """)
        #expect(value.serialized(pretty: false).hasPrefix("{\"b\":1,\"a\":[1.5,-2],"))
    }

    @Test func whatIsWrittenReadsBackEqual() throws {
        let value = JSON.object([
            ("pi", .number(Double.pi)), ("float", .number(Float(0.1))), ("big", .number(1e300)),
            ("nan", .number(Double.nan)),
            ("s", .text("\u{0}\u{7F}\u{85}😀")),
        ])
        #expect(try parse(value.serialized()) == value)
        #expect(try parse(value.serialized(pretty: false)) == value)
        #expect(value["float"] == .number(0.1))
        #expect(value["nan"] == .null)
    }
}
