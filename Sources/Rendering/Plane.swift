/// The three planes that anatomy is looked at in.
public enum Plane: String, Sendable, CaseIterable, Hashable {
    /// Across the body; slices are counted from the feet up.
    case axial
    /// Parallel to the chest; slices are counted from back to front.
    case coronal
    /// Parallel to the side; slices are counted from left to right.
    case sagittal

    /// The world axis (0 = x toward Right, 1 = y toward Anterior, 2 = z toward Superior) that the slices are stacked along.
    var normal: Int {
        switch self {
        case .axial: 2
        case .coronal: 1
        case .sagittal: 0
        }
    }

    /// The world axis that runs across the picture, and whether its positive end is on the right.
    ///
    /// Sagittal slices look toward the patient's right in both conventions: the face is on the picture's left.
    func across(radiological: Bool) -> (axis: Int, isPositive: Bool) {
        switch self {
        case .axial, .coronal: (0, !radiological)
        case .sagittal: (1, false)
        }
    }

    /// The world axis that runs down the picture; its positive end (Anterior, Superior) is at the top.
    var down: Int {
        switch self {
        case .axial: 1
        case .coronal, .sagittal: 2
        }
    }

    /// The letter of the positive and of the negative end of a world axis.
    static func letters(_ axis: Int) -> (positive: Character, negative: Character) {
        switch axis {
        case 0: ("R", "L")
        case 1: ("A", "P")
        default: ("S", "I")
        }
    }
}
