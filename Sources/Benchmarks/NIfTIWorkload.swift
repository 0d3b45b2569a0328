import Failures
import Foundation
import Volumes

/// Reading a scan as floats, or writing one: compressed, atomically, and safe on the disk before the time is up.
struct NIfTIWorkload: Workload {
    private let source: URL
    private let target: URL?
    private let image: NIfTIImage?
    private var writer = NIfTIWriter()

    init(_ request: NIfTIRequest) throws {
        source = URL(fileURLWithPath: request.file)
        guard request.action == .write else {
            (target, image) = (nil, nil)
            return
        }
        guard let encoding = request.encoding.flatMap(NIfTIWriter.Encoding.init), let path = request.target else {
            throw Failure(
                .usage, "nifti", expected: "a target, and an encoding: float32 or int16",
                found: "\(request.target ?? "none"), \(request.encoding ?? "none")")
        }
        target = URL(fileURLWithPath: path)
        let image = try NIfTIFile.read(source)
        writer.encoding = encoding
        writer.reference = image.header
        self.image = image
    }

    func run() throws {
        if let target, let image { try writer.write(image.volume, to: target) } else { _ = try NIfTIFile.read(source) }
    }
}
