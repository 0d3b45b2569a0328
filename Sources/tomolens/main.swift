import Commands
import Foundation

exit(TomoLensCommand.main(CommandLine.arguments))
