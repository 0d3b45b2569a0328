import Tensors

/// Covering parts of the scan, as perturbation methods do.
extension Question {
    /// A map on a tap's grid, brought linearly to every spatial place of the input by the tap's jump and centre.
    func onInput(_ values: [Float], of tap: String) -> [Float] {
        let layout = layout(of: tap)
        return onInput(values, shape: layout.spatial, jump: layout.jump, centre: layout.centre)
    }

    /// Linear interpolation of `values` (row-major, `shape`), whose voxel `i` lies at input index `centre + i·jump`; beyond the
    /// outermost centres the nearest value holds. The result is row-major over the input's spatial axes.
    func onInput(_ values: [Float], shape: [Int], jump: [Double], centre: [Double]) -> [Float] {
        let extents = inputLayout.spatial
        precondition(extents.count == shape.count)
        var current = values
        var currentShape = shape
        // Separable: one axis after the other.
        for axis in shape.indices {
            let outer = currentShape[..<axis].reduce(1, *)
            let inner = currentShape[(axis + 1)...].reduce(1, *)
            let (old, new) = (currentShape[axis], extents[axis])
            var next = [Float](repeating: 0, count: outer * new * inner)
            for index in 0..<new {
                let place = min(max((Double(index) - centre[axis]) / jump[axis], 0), Double(old - 1))
                let low = min(Int(place), max(0, old - 2))
                let high = min(low + 1, old - 1)
                let fraction = Float(place - Double(low))
                for block in 0..<outer {
                    for rest in 0..<inner {
                        let a = current[(block * old + low) * inner + rest]
                        let b = current[(block * old + high) * inner + rest]
                        next[(block * new + index) * inner + rest] = a + (b - a) * fraction
                    }
                }
            }
            current = next
            currentShape[axis] = new
        }
        return current
    }

    /// The scan seen through a few large cells: means of `cells` parts along the longest axis (and as large ones along the others),
    /// enlarged linearly. In the network's own layout.
    func coarse(cells: Int) -> Tensor<Float> {
        let layout = inputLayout
        let extents = layout.spatial
        let edge = Double(extents.max() ?? 1) / Double(max(1, cells))
        let counts = extents.map { max(1, Int((Double($0) / edge).rounded(.up))) }
        let jump = zip(extents, counts).map { Double($0) / Double($1) }
        let centre = jump.map { ($0 - 1) / 2 }
        let size = extents.elementCount
        var map = layout.featureMap(input)
        let strides = counts.rowMajorStrides
        let parts: [Int] = Odometer(extents).map { place in
            var number = 0
            for axis in extents.indices { number += Int(Double(place[axis]) / jump[axis]) * strides[axis] }
            return number
        }
        map.withUnsafeMutableBuffer { values in
            for channel in 0..<layout.channels {
                var sums = [Double](repeating: 0, count: counts.elementCount)
                var members = sums
                for place in 0..<size {
                    sums[parts[place]] += Double(values[channel * size + place])
                    members[parts[place]] += 1
                }
                let means = zip(sums, members).map { Float($0 / max(1, $1)) }
                let large = onInput(means, shape: counts, jump: jump, centre: centre)
                for place in 0..<size { values[channel * size + place] = large[place] }
            }
        }
        return layout.replacing(input, by: map)
    }

    /// The scan with `fill + (scan − fill)·mask` at every place; the mask (row-major over the spatial axes) is shared by all
    /// channels. In the network's own layout.
    func masked(by mask: [Float], fill: Float = 0) -> Tensor<Float> {
        let layout = inputLayout
        precondition(mask.count == layout.spatial.elementCount, "one mask value a place")
        var map = layout.featureMap(input)
        map.withUnsafeMutableBuffer { values in
            for index in values.indices { values[index] = fill + (values[index] - fill) * mask[index % mask.count] }
        }
        return layout.replacing(input, by: map)
    }
}
