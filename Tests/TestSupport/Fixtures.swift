import Foundation

/// Where tests find what they read.
public enum Fixtures {
    /// The root of the checkout.
    public static let root: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    /// A committed reference file under `Tests/Reference/data`.
    public static func reference(_ path: String) -> URL {
        root.appendingPathComponent("Tests/Reference/data").appendingPathComponent(path)
    }

    /// The folder of real scans and networks that `TOMOLENS_REAL_DATA` names, or nil: tests that need it say that they skip.
    public static let realData: URL? = {
        guard let path = ProcessInfo.processInfo.environment["TOMOLENS_REAL_DATA"], !path.isEmpty else { return nil }
        let url = URL(fileURLWithPath: path, isDirectory: true)
        return FileManager.default.fileExists(atPath: url.path) ? url : nil
    }()

    /// A fresh empty folder for one test, which goes when the tests end.
    public static func temporaryFolder(_ name: String = "test") -> URL {
        let url = ownFolder.appendingPathComponent("tomolens-\(name)-\(UUID().uuidString.prefix(8))", isDirectory: true)
        try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    /// Holds all temporary folders of this process.
    private static let ownFolder: URL = {
        atexit { try? FileManager.default.removeItem(at: Fixtures.ownPlace) }
        return ownPlace
    }()

    private static var ownPlace: URL {
        FileManager.default.temporaryDirectory.appendingPathComponent("tomolens-tests-\(getpid())", isDirectory: true)
    }
}
