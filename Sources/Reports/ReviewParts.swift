import Volumes

/// One map for a review page: what one method says about one target.
public struct ReviewHeat: Sendable {
    /// Short name, as typed: `gradcam`.
    public var method: String
    /// As written in titles: `Grad-CAM`.
    public var methodTitle: String
    /// What is explained: "nodule (1)".
    public var target: String
    /// Signed raw attribution on the scan's grid.
    public var volume: Volume
    /// The layer's cells that `volume` was interpolated from, where it was: they make the page smaller and quicker to write.
    public var cells: ReviewCells?
    /// What misleads about this method or map.
    public var caution: String?
    public var notes: [String] = []
    /// Tap, options, measures.
    public var details: [ReviewFact] = []
    /// Whether the hottest voxel lies in the mask.
    public var peakIsInside: Bool?
    /// The folder's largest value for this method and target; nil while it is not known (see
    /// ``ReviewPage/setFolderScales(_:inPageAt:)``).
    public var folderTop: Double?
    /// Where the map's own scale ends, of positive heat and of magnitudes, where not at the largest value.
    public var ownTops: [Float]?
    /// By which the folder's scales are told apart; nil: one of its own, which no folder shares.
    public var scaleKey: String?

    public init(method: String, methodTitle: String, target: String, volume: Volume) {
        self.method = method
        self.methodTitle = methodTitle
        self.target = target
        self.volume = volume
    }

    func scaleKey(_ index: Int) -> String { scaleKey ?? "heat\(index)" }

    /// Lowest and highest finite value, and where the highest one is (the first of equals) when it is above 0.
    var extremes: (lowest: Float, highest: Float, peak: Index3?) {
        var lowest: Float = 0
        var highest: Float = 0
        var place = -1
        volume.voxels.withUnsafeBufferPointer { voxels in
            for index in voxels.indices {
                let value = voxels[index]
                if value > highest, value.isFinite {
                    highest = value
                    place = index
                }
                if value < lowest, value.isFinite { lowest = value }
            }
        }
        guard place >= 0 else { return (lowest, highest, nil) }
        let shape = volume.grid.shape
        return (
            lowest, highest, Index3(place % shape.x, place / shape.x % shape.y, place / (shape.x * shape.y))
        )
    }

    /// 8-bit steps over the values, zero a step of its own, so that a background of exactly 0 stays so.
    var coding: PageLayer.Coding { coding(extremes) }

    func coding(_ extremes: (lowest: Float, highest: Float, peak: Index3?)) -> PageLayer.Coding {
        let (lowest, highest, _) = extremes
        if lowest == 0 && highest == 0 { return .steps(zero: 0, step: 1) }
        if lowest == 0 { return .steps(zero: 0, step: Double(highest) / 255) }
        // One step is kept for the rounding of zero's own place.
        let step = (Double(highest) - Double(lowest)) / 254
        return .steps(zero: Int((-Double(lowest) / step).rounded(.up)), step: step)
    }
}

/// What the network answered, class by class.
public struct ReviewAnswer: Sendable {
    public struct Row: Sendable {
        public var label: String
        public var logit: Double?
        public var probability: Double?
        /// How many voxels the class wins, where there is an answer for every voxel.
        public var voxels: Int?
        /// Whether heat explains this class.
        public var isExplained: Bool

        public init(
            label: String, logit: Double? = nil, probability: Double? = nil, voxels: Int? = nil,
            isExplained: Bool = false
        ) {
            self.label = label
            self.logit = logit
            self.probability = probability
            self.voxels = voxels
            self.isExplained = isExplained
        }
    }

    public var rows: [Row]
    /// How the numbers are to be read: "softmax over 2 classes".
    public var note: String?

    public init(rows: [Row], note: String? = nil) {
        self.rows = rows
        self.note = note
    }
}

/// A named fact, shown as a line. Some keys ("file", "size") are translated by the page.
public struct ReviewFact: Sendable, Encodable {
    public var key: String
    public var value: String

    public init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }

    var visible: ReviewFact { ReviewFact(PageText.visible(key), PageText.visible(value)) }
}

/// A file beside a page.
public struct ReviewLink: Sendable {
    public var label: String
    /// Relative to the page; anything else is not followed.
    public var path: String

    public init(_ label: String, path: String) {
        self.label = label
        self.path = path
    }
}

/// A grey window that a page offers by name.
public struct ReviewWindow: Sendable {
    public var name: String
    public var window: HUWindow

    public init(name: String, window: HUWindow) {
        self.name = name
        self.window = window
    }
}
