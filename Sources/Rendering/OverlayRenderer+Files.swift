import Failures
import Foundation
import Volumes
import Workers

extension OverlayRenderer {
    /// Which slices of each plane are written.
    public enum Selection: Sendable, Hashable {
        case all
        /// So many, by the heat that can be seen (see ``OverlayRenderer/hottest(_:count:apart:)``); where there is no positive heat,
        /// the middle slice.
        case hottest(Int)
    }

    /// A picture that was written.
    public struct WrittenSlice: Sendable, Hashable {
        public var url: URL
        public var plane: Plane
        /// From 0; the file's name and text print the number plus one.
        public var index: Int
        /// mm along the slices' normal, see ``OverlayRenderer/position(_:_:)``.
        public var position: Double
        /// Sum of positive heat over the slice's voxels.
        public var heat: Double
    }

    /// Writes slices of the style's planes as `<prefix><plane>-<number>.png`, numbers from 1 with leading zeros; a 2D picture
    /// as `<prefix>overlay.png`.
    ///
    /// - Returns: what was written, plane by plane, by ascending slice. Files are the same at any number of threads.
    /// - Throws: a `Failure` of kind `output` that names the file and what the system said.
    @discardableResult
    public func writeSlices(_ selection: Selection = .all, to folder: URL, prefix: String = "") throws -> [WrittenSlice]
    {
        var jobs: [WrittenSlice] = []
        for plane in isPicture ? [.axial] : style.planes {
            let frame = frame(plane)
            let heat = heatPerSlice(plane)
            let digits = max(3, String(frame.sliceCount).count)
            for index in selected(selection, heat, plane) {
                let number = String(index + 1)
                let name =
                    "\(prefix)\(plane.rawValue)-\(String(repeating: "0", count: digits - number.count))\(number).png"
                jobs.append(
                    WrittenSlice(
                        url: folder.appendingPathComponent(name), plane: plane, index: index,
                        position: frame.position(slice: index), heat: heat[index]))
            }
        }
        let work = jobs
        try Workers.shared.forEachThrowing(work.count) { number in
            try write(slice(work[number].plane, work[number].index), to: work[number].url, syncsFolder: false)
        }
        AtomicFile.syncFolder(folder)
        return work
    }

    /// Writes the montage of the `count` hottest slices that lie at least `apart` mm from each other (of the middle slice where
    /// there is no positive heat), from Superior, Anterior or Right on.
    ///
    /// - Returns: the slices shown, in the montage's order.
    @discardableResult
    public func writeMontage(
        _ plane: Plane, count: Int, apart: Double = 5, columns: Int? = nil, to url: URL
    ) throws -> [Int] {
        let heat = heatPerSlice(plane)
        let hottest = hottest(heat, plane, count: max(1, count), apart: apart)
        let slices = hottest.isEmpty ? [heat.count / 2] : hottest.sorted(by: >)
        try write(montage(plane, slices: slices, columns: columns), to: url)
        return slices
    }

    /// Ascending.
    private func selected(_ selection: Selection, _ heat: [Double], _ plane: Plane) -> [Int] {
        switch selection {
        case .all: return Array(heat.indices)
        case .hottest(let count):
            let hottest = hottest(heat, plane, count: count).sorted()
            return hottest.isEmpty && count > 0 ? [heat.count / 2] : hottest
        }
    }

    private func write(_ picture: Picture, to url: URL, syncsFolder: Bool = true) throws {
        do {
            try picture.writePNG(to: url, options: style.png, syncsFolder: syncsFolder)
        } catch let failure as Failure {
            throw failure.subject.isEmpty ? failure.within(url.path) : failure
        }
    }
}

extension Picture {
    /// Writes a PNG file, whole or not at all.
    ///
    /// - Parameter syncsFolder: see `AtomicFile`.
    /// - Throws: a `Failure` of kind `output` or `resources`.
    public func writePNG(to url: URL, options: PNG.Options = PNG.Options(), syncsFolder: Bool = true) throws {
        try AtomicFile.write(PNG.encode(self, options: options), to: url, syncsFolder: syncsFolder)
    }
}
