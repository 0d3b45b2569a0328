import Foundation
import Pipelines
import Synchronization

/// Where a command's words go. Commands alone print, and only through this.
public final class Console: Sendable {
    private let write: @Sendable (_ text: String, _ isError: Bool) -> Void
    /// Columns for help and tables.
    public let width: Int
    /// Whether somebody watches: progress is drawn over one line, not logged line by line.
    public let isInteractive: Bool
    /// By which somebody can end a command early.
    public let stop: StopRequest
    /// The progress line that stands at the bottom of the terminal; empty when none does.
    private let progress = Mutex("")

    /// - Parameter write: takes text with its line ends, and whether it belongs to standard error.
    public init(
        width: Int = 80, isInteractive: Bool = false, stop: StopRequest = StopRequest(),
        write: @escaping @Sendable (_ text: String, _ isError: Bool) -> Void
    ) {
        self.width = width
        self.isInteractive = isInteractive
        self.stop = stop
        self.write = write
    }

    /// The process's own standard output and standard error.
    public static let process = Console(
        width: terminalWidth,
        isInteractive: isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb",
        stop: .process
    ) { text, isError in
        // Straight to the descriptor: nothing is lost when the process ends, and a closed pipe is no crash.
        let descriptor = isError ? STDERR_FILENO : STDOUT_FILENO
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress!, $0.count) }
            if written < 0 {
                if errno == EINTR { continue }
                return
            }
            bytes = bytes.dropFirst(written)
        }
    }

    private static var terminalWidth: Int {
        var size = winsize()
        if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
        return 80
    }

    /// A line of the command's result.
    public func print(_ line: String = "") { emit(line + "\n", isError: false) }

    /// Text that is a result as it is: help, JSON, a completion script.
    public func printRaw(_ text: String) { emit(text, isError: false) }

    /// A line about what happens: logs, warnings, failures.
    public func note(_ line: String) { emit(line + "\n", isError: true) }

    /// Draws `line` over the last progress line; only on a terminal.
    public func showProgress(_ line: String) {
        guard isInteractive else { return }
        progress.withLock { current in
            let line = String(line.prefix(max(20, width - 1)))
            write("\r\u{1B}[2K" + line, true)
            current = line
        }
    }

    public func clearProgress() {
        progress.withLock { current in
            if !current.isEmpty { write("\r\u{1B}[2K", true) }
            current = ""
        }
    }

    private func emit(_ text: String, isError: Bool) {
        progress.withLock { current in
            if current.isEmpty {
                write(text, isError)
            } else {
                write("\r\u{1B}[2K", true)
                write(text, isError)
                write(current, true)
            }
        }
    }
}

extension String {
    /// The text with control characters made visible: file names and headers may hold anything, and a terminal obeys.
    var printable: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            // Beside control signs, marks that reorder what is read.
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{200E}", "\u{200F}", "\u{202A}"..."\u{202E}",
                "\u{2066}"..."\u{2069}", "\u{2028}", "\u{2029}":
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
