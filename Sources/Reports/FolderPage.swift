import Failures
import Foundation
import Volumes

/// The page of a folder of scans: a table to sort, search and filter, with a picture, the answer and what went wrong for each,
/// and the way to each scan's ``ReviewPage``. Rows exist only while they are in sight, so that thousands stay quick.
public struct FolderPage: Sendable {
    public struct Entry: Sendable {
        /// The scan's name.
        public var name: String
        /// The scan's page, by a path relative to this one.
        public var page: String?
        /// A small PNG or JPEG file.
        public var thumbnail: [UInt8]?
        /// What the network answered: "nodule (1)".
        public var prediction: String?
        public var probability: Double?
        public var score: Double?
        /// nil without a mask.
        public var peakIsInside: Bool?
        /// One for each of ``FolderPage/measures``.
        public var measures: [Double?]
        public var notes: [String]
        /// Why there is no result.
        public var failure: String?

        public init(
            name: String, page: String? = nil, thumbnail: [UInt8]? = nil, prediction: String? = nil,
            probability: Double? = nil, score: Double? = nil, peakIsInside: Bool? = nil, measures: [Double?] = [],
            notes: [String] = [], failure: String? = nil
        ) {
            self.name = name
            self.page = page
            self.thumbnail = thumbnail
            self.prediction = prediction
            self.probability = probability
            self.score = score
            self.peakIsInside = peakIsInside
            self.measures = measures
            self.notes = notes
            self.failure = failure
        }
    }

    public var title: String
    public var entries: [Entry]
    /// Names of further number columns.
    public var measures: [String] = []
    public var warnings: [String] = []
    public var provenance: [ReviewFact] = []
    /// "en" or "zh"; nil: as the browser prefers.
    public var language: String?

    public init(title: String, entries: [Entry]) {
        self.title = title
        self.entries = entries
    }

    /// Writes the page atomically; the same bytes for the same content.
    ///
    /// - Throws: ``Failure`` of kind `.output`.
    public func write(to url: URL) throws {
        let manifest = PageText.json(Manifest(self))
        let template = PageTemplate(kind: .folder, title: title)
        try AtomicFile.write(to: url) { file in try template.write(manifest: manifest, to: &file) }
    }

    private static func address(_ picture: [UInt8]) -> String {
        let kind = picture.starts(with: [0xff, 0xd8]) ? "jpeg" : "png"
        return "data:image/\(kind);base64,\(Data(picture).base64EncodedString())"
    }

    /// Whether the file is a page that ``write(to:)`` has written.
    public static func isOne(_ url: URL) -> Bool {
        guard let file = try? FileHandle(forReadingFrom: url), let head = try? file.read(upToCount: 4096) else {
            return false
        }
        return head.range(of: Data("<meta name=\"generator\" content=\"TomoLens\">".utf8)) != nil
    }

    private struct Manifest: Encodable {
        struct Row: Encodable {
            let name: String
            let page: String?
            let thumbnail: String?
            let prediction: String?
            let probability: Double?
            let score: Double?
            let peakIsInside: Bool?
            let measures: [Double?]?
            let notes: [String]?
            let failure: String?
        }

        let format = "tomolens-folder-1"
        let title: String
        let language: String?
        let measures: [String]
        let warnings: [String]
        let provenance: [ReviewFact]
        let entries: [Row]

        init(_ page: FolderPage) {
            title = PageText.visible(page.title)
            language = page.language
            measures = page.measures.map(PageText.visible)
            warnings = page.warnings.map(PageText.visible)
            provenance = page.provenance.map(\.visible)
            entries = page.entries.map { entry in
                Row(
                    name: PageText.visible(entry.name), page: entry.page.map(PageText.address),
                    thumbnail: entry.thumbnail.map(FolderPage.address),
                    prediction: entry.prediction.map(PageText.visible), probability: entry.probability,
                    score: entry.score, peakIsInside: entry.peakIsInside,
                    measures: entry.measures.isEmpty ? nil : entry.measures,
                    notes: entry.notes.isEmpty ? nil : entry.notes.map(PageText.visible),
                    failure: entry.failure.map(PageText.visible))
            }
        }
    }
}
