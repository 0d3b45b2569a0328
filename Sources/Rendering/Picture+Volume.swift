import Volumes

extension Picture {
    /// The grid of a picture seen as a volume of depth 1: i runs along a row, j down the rows, one unit a pixel.
    ///
    /// A picture has no place in a patient. It is laid down as an axial slice in radiological convention shows one (to the
    /// right is patient Left, down is Posterior), so that a picture and a CT slice go through the same code.
    public static func grid(width: Int, height: Int) -> Grid {
        Grid(
            shape: [width, height, 1],
            affine: Affine(i: [-1, 0, 0], j: [0, -1, 0], k: [0, 0, 1], origin: [0, 0, 0]))
    }

    /// See ``grid(width:height:)``.
    public var grid: Grid { Picture.grid(width: width, height: height) }

    /// The luminance as a volume of depth 1, 0 to 255.
    public var luminanceVolume: Volume { Volume(grid: grid, voxels: luminance) }

    /// Red, green and blue as three volumes of depth 1, each 0 to 255; a grey picture three times the same.
    public var colourVolumes: [Volume] {
        let rgb = rgb
        return (0..<3).map { channel in
            Volume(grid: grid, voxels: (0..<width * height).map { Float(rgb.pixels[$0 * 3 + channel]) })
        }
    }
}
