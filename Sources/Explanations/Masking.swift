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
