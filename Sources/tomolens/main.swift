import Commands
import Foundation
import Workers

Allocator.returnLargeMemory()
exit(TomoLensCommand.main(CommandLine.arguments))
