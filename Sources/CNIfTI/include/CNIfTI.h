#pragma once
/* libnifti2: quaternion and orientation mathematics in double precision, and the conformance checks of its reader. Voxels
   do not go through it. Its header includes <znzlib.h> from the same folder, and it ships no pkg-config file. */
#include <nifti/nifti2_io.h>
