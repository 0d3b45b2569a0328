// The 3D view: one ray a pixel through a texture that holds the scan (red) and the heat (green).
const vertexShader = `#version 300 es
out vec2 place;
void main() {
  place = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  gl_Position = vec4(place, 0.0, 1.0);
}`;

const fragmentShader = `#version 300 es
precision highp float;
precision highp sampler3D;
uniform sampler3D volume;
uniform sampler2D tissue;    // colour and density of every scan value
uniform sampler2D colours;   // the heat's colour map
uniform mat3 turn;           // columns: across, up and toward the viewer, along the volume's axes
uniform vec3 size;           // of the volume; its longest side is 1
uniform vec2 extent;         // half of what the view shows
uniform vec4 clip;           // what has dot(clip.xyz, place) > clip.w is cut away; none when xyz is 0
uniform float stride_;       // between samples
uniform vec3 texel;          // of the texture
uniform bool isProjection;   // maximum intensity instead of tissue
uniform vec2 greys;          // window of the projection and of the cut face: lower end, 1 / width
uniform float air;           // what is darker is not part of the cut face
uniform bool hasFace;
uniform vec4 heat;           // zero, gain, threshold, opacity (0 without heat)
uniform bool isSigned;
uniform float exponent;
in vec2 place;
out vec4 result;

vec2 relativeHeat(float stored) {  // position on the colour map, strength
  float relative = clamp((stored - heat.x) * heat.y, isSigned ? -1.0 : 0.0, 1.0);
  return vec2(isSigned ? 0.5 * relative + 0.5 : relative, abs(relative));
}

float heatAlpha(float strength) {
  if (strength <= heat.z) return 0.0;
  return pow((strength - heat.z) / (1.0 - heat.z), exponent);
}

void main() {
  vec3 toward = turn[2];
  vec3 origin = turn[0] * (place.x * extent.x) + turn[1] * (place.y * extent.y) + toward * 2.0;
  vec3 ray = -toward;
  vec3 safe = mix(ray, vec3(1e-6), lessThan(abs(ray), vec3(1e-6)));
  vec3 first = (-0.5 * size - origin) / safe;
  vec3 second = (0.5 * size - origin) / safe;
  vec3 entries = min(first, second);
  vec3 exits = max(first, second);
  float near = max(max(entries.x, entries.y), entries.z);
  float far = min(min(exits.x, exits.y), exits.z);
  bool isCut = false;
  if (dot(clip.xyz, clip.xyz) > 0.0) {
    float slope = dot(clip.xyz, ray);
    float meet = (clip.w - dot(clip.xyz, origin)) / (abs(slope) < 1e-6 ? 1e-6 : slope);
    if (slope < 0.0) { if (meet > near) { near = meet; isCut = true; } } else { far = min(far, meet); }
  }
  if (near >= far) { result = vec4(0.0, 0.0, 0.0, 1.0); return; }

  vec3 colour = vec3(0.0);
  vec3 glow = vec3(0.0);
  float light = 1.0;        // what tissue lets through
  float dark = 1.0;         // what heat lets through
  float highest = 0.0;
  vec3 start = (origin + ray * near) / size + 0.5;
  if (isCut && hasFace && !isProjection) {
    vec2 here = texture(volume, start).rg;
    if (here.r > air) {
      colour = vec3(clamp((here.r - greys.x) * greys.y, 0.0, 1.0));
      light = 0.0;
      vec2 relative = relativeHeat(here.g);
      float alpha = heat.w * heatAlpha(relative.y);
      colour = mix(colour, texture(colours, vec2(relative.x, 0.5)).rgb, alpha);
    }
  }
  // Starts scatter within a step, so that no rings show.
  float jitter = fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715))));
  vec3 delta = ray / size;
  float density = stride_ * 90.0;
  for (float depth = near + jitter * stride_; depth < far; depth += stride_) {
    vec3 at = (origin + ray * depth) / size + 0.5;
    vec2 sampled = texture(volume, at).rg;
    if (isProjection) {
      highest = max(highest, sampled.r);
    } else if (light > 0.02) {
      vec4 kind = texture(tissue, vec2(sampled.r, 0.5));
      if (kind.a > 0.002) {
        float alpha = 1.0 - exp(-kind.a * density);
        vec3 slope = vec3(
          texture(volume, at + vec3(texel.x, 0, 0)).r - texture(volume, at - vec3(texel.x, 0, 0)).r,
          texture(volume, at + vec3(0, texel.y, 0)).r - texture(volume, at - vec3(0, texel.y, 0)).r,
          texture(volume, at + vec3(0, 0, texel.z)).r - texture(volume, at - vec3(0, 0, texel.z)).r) / (texel * size);
        float steep = length(slope);
        vec3 normal = -slope / max(steep, 1e-4);
        vec3 lamp = normalize(toward + 0.4 * turn[1] - 0.35 * turn[0]);
        float diffuse = abs(dot(normal, lamp));
        float shine = pow(max(dot(normal, normalize(lamp + toward)), 0.0), 24.0);
        float surface = clamp(steep * 0.25, 0.0, 1.0);
        vec3 lit = kind.rgb * mix(0.9, 0.22 + 0.85 * diffuse, surface) + 0.18 * shine * surface;
        colour += light * alpha * lit;
        light *= 1.0 - alpha;
      }
    }
    if (heat.w > 0.0 && dark > 0.02) {
      vec2 relative = relativeHeat(sampled.g);
      float alpha = heatAlpha(relative.y);
      if (alpha > 0.0) {
        float veil = 1.0 - exp(-alpha * alpha * density * 0.55 * heat.w);
        // Tissue in front dims the heat but never hides it.
        glow += dark * veil * (0.4 + 0.6 * light) * texture(colours, vec2(relative.x, 0.5)).rgb;
        dark *= 1.0 - veil;
      }
    } else if (light <= 0.02 && !isProjection && heat.w <= 0.0) {
      break;
    }
  }
  if (isProjection) colour = vec3(clamp((highest - greys.x) * greys.y, 0.0, 1.0));
  result = vec4(colour * mix(1.0, dark, 0.85) + glow, 1.0);
}`;
