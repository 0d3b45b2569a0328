import CNIfTI

/// Where the voxels of a NIfTI file lie, and from which of its fields that is known.
public struct NIfTIGeometry: Sendable, Hashable {
    public enum Source: String, Sendable, Hashable, Codable {
        case sform
        case qform
        /// Neither form is set: voxel sizes only, centred, with i toward Left, as nibabel and SPM take it.
        case pixdim
    }

    /// Voxel index to RAS+ millimetres; never singular.
    public var affine: Affine
    public var source: Source
    /// What is odd about the file's geometry.
    public var issues: [HeaderIssue]
    /// The fields as they stand describe `affine`, so that copying them puts another file at the same place.
    public var isSound: Bool
}

extension NIfTIHeader {
    /// Millimetres per spatial unit of this file, by the low three bits of `xyzt_units`.
    public var millimetresPerUnit: Double {
        switch xyztUnits & 7 {
        case 1: 1000
        case 3: 0.001
        default: 1
        }
    }

    /// The sform's rows as they stand, in the file's units.
    public var sformAffine: Affine { Affine(rows: srow) }

    /// The qform: rotation from the quaternion, voxel sizes from `pixdim`, both as they stand (NIfTI-1, method 2).
    public var qformAffine: Affine {
        let steps = (1...3).map { pixdim[$0] }
        return Affine(
            nifti_quatern_to_dmat44(
                quatern[0], quatern[1], quatern[2], qoffset[0], qoffset[1], qoffset[2], steps[0], steps[1], steps[2],
                pixdim[0] < 0 ? -1 : 1))
    }

    /// Decides the affine as nibabel does: the sform where its code is set, else the qform, else voxel sizes alone.
    ///
    /// A form that is singular or not finite is passed over with an issue. The result is in millimetres whatever unit the
    /// file uses.
    public func geometry() -> NIfTIGeometry {
        var issues: [HeaderIssue] = []
        var isSound = true
        let (steps, stepIssues) = usableSteps()

        var withSteps = self
        for axis in 0..<3 { withSteps.pixdim[axis + 1] = steps[axis] }
        let qform = qformCode > 0 ? withSteps.usableQform(&issues) : nil
        let sform = sformCode > 0 ? usableSform(steps: steps, &issues, isSound: &isSound) : nil

        var chosen: (affine: Affine, source: NIfTIGeometry.Source)
        if let sform {
            chosen = (sform, .sform)
            if let qform { issues += disagreement(sform, qform) }
        } else if let qform {
            chosen = (qform, .qform)
            issues += stepIssues
            isSound = isSound && stepIssues.isEmpty && sformCode <= 0
        } else {
            let shape = spatialShape
            let half = Vector3(Double(shape.x - 1), Double(shape.y - 1), Double(shape.z - 1)) / 2
            chosen = (
                Affine(
                    i: [-steps.x, 0, 0], j: [0, steps.y, 0], k: [0, 0, steps.z],
                    origin: [half.x * steps.x, -half.y * steps.y, -half.z * steps.z]), .pixdim
            )
            issues += stepIssues
            isSound = isSound && stepIssues.isEmpty && sformCode <= 0 && qformCode <= 0
            issues.append(
                HeaderIssue(
                    .warning, "qform_code and sform_code", problem: "no usable position or orientation is recorded",
                    handling: "i is taken to run toward Left, j Anterior, k Superior, around the volume's centre"))
        }
        let scale = millimetresPerUnit
        if scale != 1 {
            issues.append(
                HeaderIssue(
                    .note, "xyzt_units", problem: "lengths are in \(scale == 1000 ? "metres" : "micrometres")",
                    handling: "converted to millimetres"))
            chosen.affine = chosen.affine.scaled(by: scale)
        }
        return NIfTIGeometry(affine: chosen.affine, source: chosen.source, issues: issues, isSound: isSound)
    }

    /// `pixdim[1...3]` made positive and finite; 1 where the file has nothing usable.
    private func usableSteps() -> (steps: Vector3, issues: [HeaderIssue]) {
        var steps = Vector3(1, 1, 1)
        var issues: [HeaderIssue] = []
        for axis in 0..<3 {
            let step = pixdim[axis + 1]
            if step > 0, step.isFinite {
                steps[axis] = step
            } else if step < 0, step.isFinite {
                steps[axis] = -step
                issues.append(
                    HeaderIssue(
                        .warning, "pixdim[\(axis + 1)]", problem: "a negative voxel size, \(step)",
                        handling: "its sign is ignored"))
            } else if axis < rank {
                issues.append(
                    HeaderIssue(
                        .error, "pixdim[\(axis + 1)]", problem: "an unusable voxel size, \(step)",
                        handling: "taken as 1"))
            }
        }
        return (steps, issues)
    }

    private func usableQform(_ issues: inout [HeaderIssue]) -> Affine? {
        let affine = qformAffine
        guard affine.isUsable else {
            issues.append(
                HeaderIssue(.error, "qform", problem: "it is singular or not finite", handling: "passed over"))
            return nil
        }
        let excess = quatern[0] * quatern[0] + quatern[1] * quatern[1] + quatern[2] * quatern[2] - 1
        if excess > 1e-5 {
            issues.append(
                HeaderIssue(
                    .warning, "quatern_b, c, d", problem: "longer than a unit quaternion by \(excess)",
                    handling: "shortened"))
        }
        return affine
    }

    private func usableSform(steps: Vector3, _ issues: inout [HeaderIssue], isSound: inout Bool) -> Affine? {
        var affine = sformAffine
        if affine.isUsable { return affine }
        // A single slice often comes without its normal.
        if spatialShape.z == 1, affine.k == .zero {
            // qfac is -1 where i, j, k are left-handed.
            let normal = affine.i.cross(affine.j) * (pixdim[0] < 0 ? -1 : 1)
            let length = normal.length
            if length > 0, length.isFinite {
                affine.k = normal / length * steps.z
                if affine.isUsable {
                    issues.append(
                        HeaderIssue(
                            .warning, "sform", problem: "a single slice with no direction across it",
                            handling: "the normal of the slice stands in, \(steps.z) long"))
                    isSound = false
                    return affine
                }
            }
        }
        issues.append(HeaderIssue(.error, "sform", problem: "it is singular or not finite", handling: "passed over"))
        isSound = false
        return nil
    }

    /// How far the two forms put the same voxel apart, where that is more than a hundredth of a voxel.
    private func disagreement(_ sform: Affine, _ qform: Affine) -> [HeaderIssue] {
        let grid = Grid(shape: spatialShape, affine: sform)
        let apart = grid.cornerIndices.map { (sform($0) - qform($0)).length }.max() ?? 0
        guard apart > 0.01 * sform.spacing.min() else { return [] }
        let distance = (apart * millimetresPerUnit * 1000).rounded() / 1000
        return [
            HeaderIssue(
                .warning, "qform and sform",
                problem: "they place the same voxel up to \(distance) mm apart (codes \(qformCode) and \(sformCode))",
                handling: "the sform is used")
        ]
    }
}

extension Affine {
    init(_ matrix: nifti_dmat44) {
        let m = matrix.m
        self.init(
            i: [m.0.0, m.1.0, m.2.0], j: [m.0.1, m.1.1, m.2.1], k: [m.0.2, m.1.2, m.2.2], origin: [m.0.3, m.1.3, m.2.3])
    }

    var niftiMatrix: nifti_dmat44 {
        var matrix = nifti_dmat44()
        matrix.m.0 = (i.x, j.x, k.x, origin.x)
        matrix.m.1 = (i.y, j.y, k.y, origin.y)
        matrix.m.2 = (i.z, j.z, k.z, origin.z)
        matrix.m.3 = (0, 0, 0, 1)
        return matrix
    }

    /// Finite, and its columns span space with room to spare.
    var isUsable: Bool {
        let size = spacing
        guard (0..<3).allSatisfy({ origin[$0].isFinite && size[$0].isFinite && size[$0] > 0 }) else { return false }
        return abs(determinant) > 1e-6 * size.x * size.y * size.z
    }

    /// The same map into a world whose unit is `1 / factor` as long.
    func scaled(by factor: Double) -> Affine {
        Affine(i: i * factor, j: j * factor, k: k * factor, origin: origin * factor)
    }
}

extension Vector3 {
    public var length: Double { (self * self).sum().squareRoot() }

    public func cross(_ other: Vector3) -> Vector3 {
        [y * other.z - z * other.y, z * other.x - x * other.z, x * other.y - y * other.x]
    }
}

extension Grid {
    /// Indices of the eight corner voxels.
    public var cornerIndices: [Vector3] {
        (0..<8).map { corner in
            Vector3(
                corner & 1 == 0 ? 0 : Double(shape.x - 1), corner & 2 == 0 ? 0 : Double(shape.y - 1),
                corner & 4 == 0 ? 0 : Double(shape.z - 1))
        }
    }
}
