#pragma once

/// Has the system begin to bring what was written to a file to the disk. Advice only, and nothing but on Linux.
void tomo_begin_saving(int descriptor);
