import Testing
import Volumes

@testable import Rendering

@Suite struct TileGridTests {
    /// Whether `part` stands somewhere in `whole`, pixel by pixel.
    static func contains(_ whole: Picture, _ part: Picture) -> Bool {
        let (whole, part) = (whole.rgb, part.rgb)
        for y in 0...max(0, whole.height - part.height) {
            for x in 0...max(0, whole.width - part.width) {
                var fits = true
                search: for row in 0..<part.height {
                    for column in 0..<part.width where whole[x + column, y + row] != part[column, row] {
                        fits = false
                        break search
                    }
                }
                if fits { return true }
            }
        }
        return false
    }

    @Test func cellsAreSquaresOfTheMapsColours() {
        let palette = Palette(.gray, scale: .fixed(2, signed: true))
        let picture = palette.cells([-2, 0, 2, 5], width: 2, height: 2, longest: 9)
        #expect(picture.width == 8 && picture.height == 8)
        #expect(picture[0, 0] == Colour(0, 0, 0) && picture[3, 3] == Colour(0, 0, 0))
        #expect(picture[4, 0] == Colour(128, 128, 128))
        #expect(picture[0, 4] == .white)
        // Beyond the scale is its end.
        #expect(picture[7, 7] == .white)
    }

    @Test func zeroIsDrawnAndNotLeftOut() {
        let picture = Palette(.viridis, scale: .fixed(1)).cells([0], width: 1, height: 1, longest: 1)
        #expect(picture[0, 0] == ColourMap.viridis.colour(at: 0))
    }

    @Test func everyTileStandsInTheGridUnchanged() {
        let palette = Palette(.turbo, scale: .fixed(10))
        let pictures = (0..<5).map { tile in
            palette.cells((0..<12).map { Float(($0 * 7 + tile * 3) % 11) }, width: 4, height: 3, longest: 40)
        }
        var grid = TileGrid(
            title: "Tiles", parts: ["five"],
            tiles: pictures.enumerated().map { .init($0.element, label: "tile \($0.offset)") } + [nil], columns: 3)
        grid.columnTitles = ["a", "b", "c"]
        grid.rowTitles = ["first", "second"]
        grid.palette = palette
        grid.quantity = "numbers"
        let whole = grid.picture()
        for picture in pictures { #expect(Self.contains(whole, picture)) }
        // Three columns in two rows.
        #expect(whole.width > 3 * 40 && whole.height > 2 * 30 && whole.width < 700)
    }

    /// Slices of a volume are cut and turned as overlays are: patient Left on the right, Posterior below.
    @Test func slicesAreShownAsARadiologistSeesThem() {
        let grid = Grid(
            shape: [4, 3, 2], affine: Affine(i: [2, 0, 0], j: [0, 2, 0], k: [0, 0, 5], origin: [0, 0, 0]))
        var volume = Volume(grid: grid, repeating: 0)
        volume[0, 0, 1] = 1  // Left (x is smallest), Posterior, in the upper slice
        let picture = Palette(.gray, scale: .fixed(1)).slice(volume, plane: .axial, index: 1, longest: 4)
        #expect(picture.width == 4 && picture.height == 3)
        #expect(picture[3, 2] == .white && picture[0, 0] == .black)
        let slices = VolumeSlices(grid, .axial)
        #expect(slices.sums(volume) == [0, 1])
        #expect(slices.slice(through: [0, 0, 1]) == 1 && slices.label(1) == "S 5.0 mm")
    }

    @Test func thePlaneOfAFlatVolumeIsItsOwn() {
        func plane(_ shape: Index3) -> Plane {
            VolumeSlices.natural(for: Grid(shape: shape, affine: .identity))
        }
        #expect(plane([8, 8, 1]) == .axial && plane([8, 1, 8]) == .coronal && plane([1, 8, 8]) == .sagittal)
        #expect(plane([8, 8, 8]) == .axial)
    }
}

@Suite struct ChartTests {
    /// Columns of the first and last pixel of a colour, row by row from the top.
    static func rows(_ picture: Picture, _ colour: Colour) -> [(y: Int, from: Int, to: Int)] {
        (0..<picture.height).compactMap { y in
            let columns = (0..<picture.width).filter { picture[$0, y] == colour }
            return columns.isEmpty ? nil : (y, columns.first!, columns.last!)
        }
    }

    @Test func aRisingLineRises() {
        let colour = Colour(hex: 0x12FE34)
        let chart = Chart(
            title: "Rise", xTitle: "step", yTitle: "value",
            series: [.init("", [[0, 0], [5, 1], [10, 2]], colour: colour)])
        let rows = Self.rows(chart.picture(), colour)
        #expect(rows.count > 250)
        #expect(rows.first!.from > rows.last!.from)
        // Straight: the middle row lies in the middle column.
        let middle = rows[rows.count / 2]
        #expect(abs(2 * middle.from - rows.first!.to - rows.last!.from) < 8)
    }

    /// On logarithmic axes powers of ten are evenly spaced.
    @Test func logarithmicAxes() {
        let colour = Colour(hex: 0x12FE34)
        var chart = Chart(
            title: "", xTitle: "", yTitle: "",
            series: [.init("", [[0, 1e-6], [1, 1e-3], [2, 1]], form: .points, colour: colour)])
        chart.yScaling = .logarithmic
        let picture = chart.picture()
        let rows = Self.rows(picture, colour).map(\.y)
        var groups: [[Int]] = []
        for row in rows {
            if let last = groups.last?.last, row - last <= 1 {
                groups[groups.count - 1].append(row)
            } else {
                groups.append([row])
            }
        }
        #expect(groups.count == 3)
        let centres = groups.map { Double($0.reduce(0, +)) / Double($0.count) }
        #expect(abs((centres[1] - centres[0]) - (centres[2] - centres[1])) < 3)
    }

    /// What cannot be placed is left out, and nothing crashes.
    @Test func oddValues() {
        var chart = Chart(
            title: "Odd", xTitle: "x", yTitle: "y",
            series: [
                .init("a", [[0, .nan], [1, .infinity], [2, 0], [3, -1]], form: .markedLine),
                .init("b", [], form: .bars), .init("c", [[1, 1]], form: .bars),
            ])
        #expect(chart.picture().width > 0)
        chart.yScaling = .logarithmic
        #expect(chart.picture().width > 0)
        chart.series = [.init("flat", [[1, 4], [2, 4]])]
        chart.yScaling = .linear
        chart.categories = ["one", "two", "three"]
        #expect(chart.picture().width > 0)
    }
}
