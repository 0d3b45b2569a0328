/// A range of Hounsfield units that a picture or a network's input spreads over its own range.
public struct HUWindow: Sendable, Hashable {
    /// What becomes black (or the low end).
    public var lower: Float
    /// What becomes white (or the high end).
    public var upper: Float

    public init(lower: Float, upper: Float) {
        precondition(lower < upper, "a window with its lower end below its upper end")
        self.lower = lower
        self.upper = upper
    }

    /// The window as radiologists name it: its centre and how far it reaches in all.
    public init(level: Float, width: Float) { self.init(lower: level - width / 2, upper: level + width / 2) }

    public var level: Float { (lower + upper) / 2 }
    public var width: Float { upper - lower }

    public static let lung = HUWindow(level: -600, width: 1500)
    public static let mediastinum = HUWindow(level: 40, width: 400)
    public static let bone = HUWindow(level: 400, width: 1800)
    public static let brain = HUWindow(level: 40, width: 80)
    public static let abdomen = HUWindow(level: 50, width: 400)

    /// The presets by name, in the order in which help lists them.
    public static let presets: [(name: String, window: HUWindow)] = [
        ("lung", lung), ("mediastinum", mediastinum), ("bone", bone), ("brain", brain), ("abdomen", abdomen),
    ]

    /// The preset of this name, whatever its case; nil when there is none.
    public init?(named name: String) {
        guard let preset = Self.presets.first(where: { $0.name == name.lowercased() }) else { return nil }
        self = preset.window
    }

    /// 0 at and below `lower`, 1 at and above `upper`, linear between.
    public func callAsFunction(_ value: Float) -> Float { min(max((value - lower) / width, 0), 1) }
}
