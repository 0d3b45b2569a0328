// TomoLens' side of script/bench: reads one request a line as JSON, answers each with one line of JSON. Workloads are loaded once
// and then timed one run at a time, so that the script can alternate between this and what it is compared with.

import Failures
import Foundation
@_spi(Benchmarks) import Tensors
import Workers

func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// What the system has counted of this process: `VmHWM` is the most memory that was resident.
func peakMegabytes() -> Double? {
    guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
        let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
        let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
    else { return nil }
    return kilobytes / 1024
}

/// Seconds of one run. What takes less than `least` is run again until that has passed and counted together, without the first: within
/// a network no layer finds its threads asleep. script/bench does the same for the other sides.
func timeOne(_ workload: any Workload, least: Double = 0.03) throws -> Double {
    var start = seconds()
    try workload.run()
    let once = seconds() - start
    if once >= least { return once }
    var runs = 0.0
    start = seconds()
    repeat {
        try workload.run()
        runs += 1
    } while seconds() - start < least
    return (seconds() - start) / runs
}

var workloads: [String: any Workload] = [:]

@MainActor func answer(_ line: String) throws -> Reply {
    let request = try JSONDecoder().decode(Request.self, from: Data(line.utf8))
    if let threads = request.threads { Workers.setWidth(max(1, threads)) }
    let name = request.name ?? ""
    switch request.action {
    case .about: return Reply(about: ConvolutionEngine.about)
    case .load:
        if let convolution = request.convolution { workloads[name] = try ConvolutionWorkload(convolution) }
        if let network = request.network { workloads[name] = try NetworkWorkload(network) }
        if let changes = request.changes { workloads[name] = try ChangesWorkload(changes) }
        if let nifti = request.nifti { workloads[name] = try NIfTIWorkload(nifti) }
        // The first run makes plans and transforms weights.
        try workloads[name]?.run()
        return Reply(peakMegabytes: peakMegabytes())
    case .time:
        guard let workload = workloads[name] else {
            throw Failure(.usage, "workload", expected: "a loaded one", found: "'\(name)'")
        }
        return Reply(milliseconds: try timeOne(workload) * 1000, peakMegabytes: peakMegabytes())
    case .drop:
        workloads[name] = nil
        return Reply()
    }
}

while let line = readLine() {
    let reply: Reply
    do { reply = try answer(line) } catch { reply = Reply(failure: "\(error)") }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try! encoder.encode(reply), as: UTF8.self))
    fflush(nil)
}
