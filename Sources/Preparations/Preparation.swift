import Failures
import Volumes

/// One step from a scan to a network's input: a volume in, a volume out, each with its grid. Because the grid always says
/// where the voxels lie, a map finds its way back by world coordinates, whatever the steps were.
public protocol PreparationStep: Sendable {
    /// As a pipeline names it; MONAI's name where MONAI has the step.
    var name: String { get }
    func apply(_ volume: Volume) throws -> Volume
}

/// The steps from a scan to a network's input, and the layout of the tensor at their end.
public struct Preparation: Sendable {
    public var steps: [any PreparationStep]
    public var layout: NetworkLayout

    public init(steps: [any PreparationStep] = [], layout: NetworkLayout = NetworkLayout()) {
        self.steps = steps
        self.layout = layout
    }

    /// What became of the scan on the way: one line a step, for provenance.
    public struct Prepared: Sendable {
        public var volume: Volume
        /// "Spacing → 160×128×96 at 1.50×1.50×1.50 mm".
        public var log: [String]
    }

    /// The prepared volume, before it is packed.
    public func volume(from scan: Volume) throws -> Prepared {
        var volume = scan
        var log: [String] = []
        for step in steps {
            do { volume = try step.apply(volume) } catch let failure as Failure { throw failure.within(step.name) }
            let (shape, spacing) = (volume.grid.shape, volume.grid.spacing)
            func millimetres(_ value: Double) -> String { String((value * 1000).rounded() / 1000) }
            log.append(
                "\(step.name) → \(shape.x)×\(shape.y)×\(shape.z) at "
                    + "\(millimetres(spacing.x))×\(millimetres(spacing.y))×\(millimetres(spacing.z)) mm")
        }
        return Prepared(volume: volume, log: log)
    }

    /// The input of a 3D network.
    ///
    /// - Precondition: the layout is three-dimensional; a 2D network takes ``slices(of:)``.
    public func prepare(_ scan: Volume) throws -> PreparedInput {
        precondition(layout.sliceAxis == nil, "a 2D network sees slices")
        return layout.pack([try volume(from: scan).volume])
    }

    /// The slices of a prepared volume, each an input of a 2D network, along the layout's slice axis in index order.
    public func slices(of prepared: Volume) -> [PreparedInput] {
        guard let axis = layout.sliceAxis else { return [layout.pack([prepared])] }
        return (0..<prepared.grid.shape[axis]).map { layout.pack([prepared.slice($0, across: axis)]) }
    }
}

extension Volume {
    /// The slice at `index` across `axis`: a volume of extent 1 there, where it lies in the world.
    public func slice(_ index: Int, across axis: Int) -> Volume {
        precondition((0..<grid.shape[axis]).contains(index))
        var shape = grid.shape
        shape[axis] = 1
        var start = Index3(0, 0, 0)
        start[axis] = index
        var affine = grid.affine
        affine.origin = affine([Double(start.x), Double(start.y), Double(start.z)])
        var voxels: [Float] = []
        voxels.reserveCapacity(shape.x * shape.y * shape.z)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x { voxels.append(self[start.x + i, start.y + j, start.z + k]) }
            }
        }
        return Volume(grid: Grid(shape: shape, affine: affine), voxels: voxels)
    }

    /// Slices in order along `axis` as one volume; the first one's grid gives origin and directions.
    ///
    /// - Precondition: all have extent 1 across `axis` and the same shape.
    public static func stacking(_ slices: [Volume], across axis: Int) -> Volume {
        precondition(!slices.isEmpty && slices.allSatisfy { $0.grid.shape == slices[0].grid.shape })
        var shape = slices[0].grid.shape
        precondition(shape[axis] == 1)
        shape[axis] = slices.count
        var result = Volume(grid: Grid(shape: shape, affine: slices[0].grid.affine), repeating: 0)
        if slices.count > 1 {
            let step = slices[1].grid.affine.origin - slices[0].grid.affine.origin
            switch axis {
            case 0: result.grid.affine.i = step
            case 1: result.grid.affine.j = step
            default: result.grid.affine.k = step
            }
        }
        for (number, slice) in slices.enumerated() {
            let inner = slice.grid.shape
            for k in 0..<inner.z {
                for j in 0..<inner.y {
                    for i in 0..<inner.x {
                        var place = Index3(i, j, k)
                        place[axis] = number
                        result[place.x, place.y, place.z] = slice[i, j, k]
                    }
                }
            }
        }
        return result
    }
}
