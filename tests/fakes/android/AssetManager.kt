// A stand-in for Android's AssetManager, which examples/android passes on.
package android.content.res

class AssetManager
