extension OverlayRenderer {
    /// One small picture to know a scan by: the hottest axial slice (the middle one where nothing is hot) with its heat and
    /// without text, the longer side `size` pixels.
    public func thumbnail(size: Int) -> Picture {
        let frame = frame(.axial)
        let slice = hottest(.axial, count: 1).first ?? frame.sliceCount / 2
        let native = DisplayGrid(frame: frame, minimum: 1, maximum: 4096)
        // Drawn larger and averaged down: single voxels of a noisy scan would sparkle.
        let factor = max(1, (max(native.width, native.height) + size - 1) / size)
        let display = DisplayGrid(frame: frame, size: size * factor)
        var canvas = Canvas(basePicture(frame, slice, display))
        drawHeat(on: &canvas, frame, slice, display)
        return canvas.picture.reduced(by: factor)
    }
}

extension Picture {
    /// Means over `factor` × `factor` pixels; what is left over at the right and the bottom makes smaller blocks.
    func reduced(by factor: Int) -> Picture {
        if factor == 1 { return self }
        let small = ((width + factor - 1) / factor, (height + factor - 1) / factor)
        var result = [UInt8](repeating: 0, count: small.0 * small.1 * channels)
        for y in 0..<small.1 {
            let rows = y * factor..<min(height, (y + 1) * factor)
            for x in 0..<small.0 {
                let columns = x * factor..<min(width, (x + 1) * factor)
                let count = rows.count * columns.count
                for channel in 0..<channels {
                    var sum = 0
                    for row in rows {
                        for column in columns { sum += Int(pixels[(row * width + column) * channels + channel]) }
                    }
                    result[(y * small.0 + x) * channels + channel] = UInt8((sum + count / 2) / count)
                }
            }
        }
        return Picture(width: small.0, height: small.1, layout: layout, pixels: result)
    }
}
