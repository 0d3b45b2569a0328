import Volumes

/// The three planes that anatomy is looked at in.
public enum Plane: String, Sendable, CaseIterable, Hashable {
    /// Across the body; slices are counted from the feet up.
    case axial
    /// Parallel to the chest; slices are counted from back to front.
    case coronal
    /// Parallel to the side; slices are counted from left to right.
    case sagittal

    /// Where the slices are counted to.
    var through: Orientation.Direction {
        switch self {
        case .axial: .superior
        case .coronal: .anterior
        case .sagittal: .right
        }
    }

    /// What is on the picture's right. Sagittal slices show the face on the left in both conventions.
    func across(radiological: Bool) -> Orientation.Direction {
        switch self {
        case .axial, .coronal: radiological ? .left : .right
        case .sagittal: .posterior
        }
    }

    /// What is at the picture's bottom.
    var down: Orientation.Direction {
        switch self {
        case .axial: .posterior
        case .coronal, .sagittal: .inferior
        }
    }
}
