#pragma once
/* libniftiio ships no pkg-config file and its header includes <znzlib.h> from the same folder. */
#include <nifti/nifti1_io.h>
