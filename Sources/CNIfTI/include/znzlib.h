#pragma once
/* nifti1_io.h asks for <znzlib.h> without its folder. */
#include <nifti/znzlib.h>
