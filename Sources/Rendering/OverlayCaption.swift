/// What the text around overlays says beyond what the renderer knows itself. Empty parts are left out.
public struct OverlayCaption: Sendable, Hashable {
    /// The scan's name: the first line.
    public var scan: String
    /// How the heat was made: "HiResCAM at last-conv".
    public var method: String
    /// What was explained: "class nodule".
    public var target: String
    /// The network's answer: "p = 0.97".
    public var score: String
    /// What the numbers at the colour bar are; empty: the method.
    public var quantity: String

    public init(scan: String = "", method: String = "", target: String = "", score: String = "", quantity: String = "")
    {
        self.scan = scan
        self.method = method
        self.target = target
        self.score = score
        self.quantity = quantity
    }
}
